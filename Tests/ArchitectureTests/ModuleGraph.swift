import Foundation

/// The modules of the package as `Package.swift` declares them, and what their files import.
struct ModuleGraph {
  struct Module {
    let name: String
    /// Names of the modules and products that it declares.
    let dependencies: Set<String>
    /// Its folder, from the project's.
    let folder: String
    /// The number of its floor.
    let floor: Int
  }

  /// A part of the declarations, begun by a comment such as "Floor 2: tensors".
  struct Floor {
    let number: Int
    let title: String
  }

  /// In the order of declaration, from the ground up; without tests.
  let modules: [Module]
  let floors: [Floor]
  /// The targets of tests, and what several of them share.
  let tests: [Module]
  let project: URL

  init() throws {
    project = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let text = try String(contentsOf: project.appendingPathComponent("Package.swift"), encoding: .utf8)
    let targets = text.components(separatedBy: "targets: [").dropFirst(2).joined(separator: "targets: [")
    let headings = targets.matches(of: /\/\/ Floor (\d+): (.+)/)
    let floors = headings.map { Floor(number: Int($0.output.1) ?? 0, title: String($0.output.2)) }
    let declaration = /\.(target|executableTarget|systemLibrary|testTarget)\(\s*name: "([^"]+)"/
    var all: [Module] = []
    let starts = targets.matches(of: declaration)
    for (index, start) in starts.enumerated() {
      let end = index + 1 < starts.count ? starts[index + 1].range.lowerBound : targets.endIndex
      let body = targets[start.range.lowerBound..<end]
      let name = String(start.output.2)
      let folder = start.output.1 == "testTarget" ? "Tests" : "Sources"
      let path = body.firstMatch(of: /path: "([^"]+)"/).map { String($0.output.1) } ?? "\(folder)/\(name)"
      let list = body.firstMatch(of: /dependencies: \[((?:[^\[\]]|\n)*)\]/).map { String($0.output.1) } ?? ""
      let dependencies = Set(list.matches(of: /"([^"]+)"/).map { String($0.output.1) })
      let heading = headings.lastIndex { $0.range.lowerBound < start.range.lowerBound }
      let floor = heading.map { floors[$0].number } ?? 0
      all.append(Module(name: name, dependencies: dependencies, folder: path, floor: floor))
    }
    modules = all.filter { $0.folder.hasPrefix("Sources/") }
    tests = all.filter { $0.folder.hasPrefix("Tests/") }
    self.floors = floors
  }

  /// The sources of a module, Swift or C.
  func files(of module: Module) -> [URL] { files(below: module.folder) }

  /// The sources below a folder of the project.
  func files(below path: String) -> [URL] {
    let folder = project.appendingPathComponent(path)
    let all = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)
    return (all?.allObjects as? [URL] ?? []).filter {
      ["swift", "c", "cpp", "h"].contains($0.pathExtension)
    }
  }

  /// What the files of a module import.
  func imports(of module: Module) throws -> Set<String> {
    var result: Set<String> = []
    for file in files(of: module) {
      let text = try String(contentsOf: file, encoding: .utf8)
      for match in text.matches(of: /(?m)^(?:@\w+(?:\(\w+\))? )*import (\w+)$/) {
        result.insert(String(match.output.1))
      }
    }
    return result
  }

  /// Lines of the files of a module.
  func lines(of module: Module) throws -> Int {
    try files(of: module).reduce(0) { total, file in
      total + (try String(contentsOf: file, encoding: .utf8)).count { $0 == "\n" }
    }
  }
}
