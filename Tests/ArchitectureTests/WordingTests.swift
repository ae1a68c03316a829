import Foundation
import Testing

/// What lies below configurations knows nothing of their keys, nor of command lines.
@Suite struct WordingTests {
  @Test func lowFloorsNameNoOptionsCommandsOrKeys() throws {
    let graph = try ModuleGraph()
    let configuration = try #require(graph.modules.firstIndex { $0.name == "Configuration" })
    let keys = try String(
      contentsOf: graph.project.appendingPathComponent("docs/configuration.md"), encoding: .utf8)
    let sections = Set(keys.matches(of: /(?m)^\| `([a-z_]+)\.[a-z_]+/).map { String($0.output.1) })
    #expect(sections.isSuperset(of: ["data", "model", "perceptual", "training"]))
    let foreign = [
      try Regex("--[a-z]"), try Regex("`peco "),
      try Regex("\\bpeco (dataset|tokenizer|pretrain|finetune|probe|evaluate|features|figure)"),
      try Regex("\\b(\(sections.sorted().joined(separator: "|")))\\.[a-z]+_?[a-z]"),
    ]
    // Files of others that are called like keys.
    let files = try Regex("data\\.pkl|model\\.safetensors")
    let literal = try Regex(#""(?:[^"\\]|\\.)*""#)
    let code = try Regex(#"\\\([^()]*(?:\([^()]*\)[^()]*)*\)"#)
    var count = 0
    for module in graph.modules[..<configuration] {
      for file in graph.files(of: module) where file.pathExtension == "swift" {
        count += 1
        for (number, line) in try String(contentsOf: file, encoding: .utf8).components(separatedBy: "\n")
          .enumerated()
        where !line.trimmingCharacters(in: .whitespaces).hasPrefix("//") {
          // What stands in \(...) is code, and launchers have options of their own.
          for text in line.replacing(code, with: "").replacing("srun --", with: "srun ").matches(of: literal)
            .map({
              String($0.output[0].substring ?? "")
            })
          {
            for pattern in foreign {
              #expect(
                text.replacing(files, with: "").firstMatch(of: pattern) == nil,
                "\(file.lastPathComponent):\(number + 1): \(text)")
            }
          }
        }
      }
    }
    #expect(count > 150)
  }
}
