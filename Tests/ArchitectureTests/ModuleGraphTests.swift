import Foundation
import Testing

/// The floor plan: arrows only downward, and nothing imported that is not declared.
@Suite struct ModuleGraphTests {
  private let graph: ModuleGraph
  /// Libraries that are no modules of the package.
  private let others: Set = [
    "Foundation", "Synchronization", "Dispatch", "Glibc", "Darwin", "Logging", "Yams", "ArgumentParser",
  ]

  init() throws { graph = try ModuleGraph() }

  @Test func allModulesAreFound() {
    let names = Set(graph.modules.map(\.name))
    #expect(names.isSuperset(of: ["CKernels", "Tensors", "Layers", "Trainer", "Tasks", "peco"]))
    #expect(graph.modules.filter { $0.name != "peco" }.count == names.count - 1)
  }

  @Test func arrowsPointDownward() {
    var below: Set<String> = []
    for module in graph.modules {
      let up = module.dependencies.subtracting(below).subtracting(others).subtracting(["swift-log"])
        .subtracting(["swift-argument-parser", "Logging", "ArgumentParser"])
      #expect(up.isEmpty, "\(module.name) depends on \(up.sorted()), which are not declared below it")
      below.insert(module.name)
    }
  }

  @Test func whatIsImportedIsDeclared() throws {
    // Programs are declared to be built, and cannot be imported.
    let names = Set((graph.modules + graph.tests).map(\.name)).subtracting(["peco", "communication-probe"])
    for module in graph.modules + graph.tests {
      let undeclared = try graph.imports(of: module).intersection(names).subtracting(module.dependencies)
      #expect(undeclared.isEmpty, "\(module.name) imports \(undeclared.sorted()) without declaring them")
      guard !module.folder.hasPrefix("Sources/C/") else { continue }
      let unused = module.dependencies.intersection(names).subtracting(try graph.imports(of: module))
      #expect(unused.isEmpty, "\(module.name) declares \(unused.sorted()) without importing them")
    }
  }

  @Test func operationsAloneTouchTheMemoryOfTensors() throws {
    let wall = "@_spi(TensorMemory)"
    let tests = try FileManager.default.contentsOfDirectory(
      atPath: graph.project.appendingPathComponent("Tests").path)
    let folders =
      graph.modules.map { (name: $0.name, path: $0.folder) }
      + tests.map { (name: $0, path: "Tests/\($0)") }
    let users = try folders.filter { folder in
      try graph.files(below: folder.path).contains {
        try String(contentsOf: $0, encoding: .utf8).contains(wall)
      }
    }.map(\.name)
    #expect(
      Set(users).isSuperset(of: ["Tensors", "Operations", "ImageOperations"]), "the wall has another name")
    // The tests of both, and this one, name the wall.
    let others = Set(users).subtracting(["Tensors", "Operations", "ImageOperations"])
      .subtracting(["TensorsTests", "OperationsTests", "ArchitectureTests"])
    #expect(others.isEmpty, "\(others.sorted()) touch the memory of tensors; make an operation of it")
  }

  @Test func noModuleIsAGrabBag() throws {
    for module in graph.modules {
      let lines = try graph.lines(of: module)
      #expect(lines <= 3500, "\(module.name) has \(lines) lines")
    }
  }

  @Test func floorsAreInOrder() {
    let floors = graph.floors.map(\.number)
    #expect(floors == Array(0..<floors.count), "Package.swift declares the floors \(floors)")
  }

  @Test func thePageHasEachModuleOnItsFloor() throws {
    let design = try String(
      contentsOf: graph.project.appendingPathComponent("docs/design.md"), encoding: .utf8)
    let rows = design.split(separator: "\n")
    for module in graph.modules where !module.folder.hasPrefix("Sources/C/") {
      #expect(
        rows.contains { $0.hasPrefix("| \(module.floor) |") && $0.contains("`\(module.name)`") },
        "docs/design.md does not have \(module.name) on floor \(module.floor)")
    }
  }

  @Test func everyLibraryHasDocumentation() throws {
    for module in graph.modules where !module.folder.hasPrefix("Sources/C/") && module.name != "peco" {
      let page = graph.project.appendingPathComponent(
        "\(module.folder)/\(module.name).docc/\(module.name).md")
      let text = (try? String(contentsOf: page, encoding: .utf8)) ?? ""
      #expect(text.hasPrefix("# ``\(module.name)``"), "\(module.name) has no page; see launch/documentation")
    }
  }
}
