import Foundation
import Testing

/// `docs/modules.svg` shows what `Package.swift` declares.
@Suite struct ModuleDrawingTests {
  @Test func theDrawingIsOfTheDeclaredModules() throws {
    let graph = try ModuleGraph()
    let file = graph.project.appendingPathComponent("docs/modules.svg")
    let drawing = try ModuleDrawing(graph).svg
    if ProcessInfo.processInfo.environment["PECO_REDRAW"] != nil {
      try drawing.write(to: file, atomically: true, encoding: .utf8)
    }
    let committed = try String(contentsOf: file, encoding: .utf8)
    let advice: Comment = """
      docs/modules.svg is old; draw it: PECO_REDRAW=1 launch/test --filter ModuleDrawingTests
      """
    let isOfThese = ModuleDrawing.structure(of: committed) == ModuleDrawing.structure(of: drawing)
    #expect(isOfThese, advice)
    // Lines come and go; the drawing is told when they are no longer about right.
    let (old, new) = (Self.lines(in: committed), Self.lines(in: drawing))
    #expect(old.keys == new.keys, advice)
    for (module, lines) in new where module != "total" {
      #expect(abs((old[module] ?? 0) - lines) <= 500, "\(module) has about \(lines) lines. \(advice)")
    }
  }

  private static func lines(in svg: String) -> [String: Int] {
    let counts = svg.matches(of: ModuleDrawing.count).map { match in
      (String(match.output.1), Int(match.output.3.filter { $0 != " " }) ?? 0)
    }
    return Dictionary(counts) { first, _ in first }
  }
}
