import Foundation
import Testing

/// `peco figure`, as it is called.
@Suite(.serialized) struct FigureTests {
  /// Width and height out of a PNG's header.
  private func size(_ path: String) throws -> [Int] {
    let bytes = Array(try Data(contentsOf: URL(filePath: path)).prefix(24))
    #expect(Array(bytes.prefix(4)) == [0x89, 0x50, 0x4E, 0x47])
    return [16, 20].map { start in bytes[start..<start + 4].reduce(0) { $0 << 8 | Int($1) } }
  }

  @Test func `every figure is drawn from a run's own checkpoints, and again the same`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    try workshop.train(.tokenizer, set: ["training.steps=2"])
    try workshop.train(.pretrain, set: ["training.steps=2"])
    let data = ["--data", "images.h5"]
    let cases: [(arguments: [String], size: [Int]?)] = [
      (
        ["reconstructions", "--tokenizer", "tokenizer", "--tokenizer", "tokenizer", "--count", "3"],
        [408, 426]
      ),
      (["codebook", "--tokenizer", "tokenizer", "--codes", "1", "--patches", "2"], nil),
      (["masked", "--model", "pretrain", "--index", "0", "7"], [408, 292]),
      (
        [
          "attention", "--checkpoint", "pretrain", "--images", "2", "--patch", "0,0", "3,1", "--block", "1",
        ],
        [504, 338]
      ),
    ]
    for (arguments, expected) in cases {
      for name in ["a.png", "b.png"] {
        let run = try workshop.peco(
          ["figure"] + arguments + data + ["--output", name], ranks: name == "b.png" ? 2 : nil)
        #expect(run.exitCode == 0, "\(run)")
        #expect(arguments[0] != "masked" || run.output.contains("of 12 tokens"), "\(run)")
      }
      let found = try size(workshop.path("a.png"))
      #expect(expected.map { $0 == found } ?? true, "\(arguments): \(found)")
      #expect(
        try Data(contentsOf: URL(filePath: workshop.path("a.png")))
          == Data(contentsOf: URL(filePath: workshop.path("b.png"))), "\(arguments)")
    }

    let curves = try workshop.peco(
      [
        "figure", "curves", "--run", "tokenizer", "--run", "pretrain", "--label", "a", "--label", "b",
        "--output", "d.png",
      ])
    #expect(curves.exitCode == 0, "\(curves)")
    #expect(try size(workshop.path("d.png")).allSatisfy { $0 > 100 })

    func expect(_ code: Int32, _ arguments: [String], _ tokens: String...) throws {
      let run = try workshop.peco(["figure"] + arguments + ["--output", "c.png"])
      #expect(run.exitCode == code && run.errorLines.count == 1, "\(run)")
      for token in tokens { #expect(run.errors.contains(token), "'\(token)' is not in: \(run)") }
      #expect(!FileManager.default.fileExists(atPath: workshop.path("c.png")))
    }
    try expect(1, ["reconstructions", "--tokenizer", "pretrain"] + data, "a tokenizer's is needed")
    try expect(1, ["reconstructions", "--tokenizer", "tokenizer", "--data", "no.h5"], "no.h5")
    try expect(1, ["reconstructions", "--tokenizer", "tokenizer", "--count", "41"] + data, "40")
    try expect(1, ["masked", "--model", "tokenizer"] + data, "vision transformer")
    try expect(1, ["curves", "--run", "pretrain", "--metrics", "beauty"], "beauty")
    try expect(1, ["curves", "--run", "pretrain", "--label", "a", "--label", "b"], "--label")
    try expect(1, ["curves", "--run", "nowhere"], "nowhere")
    try expect(64, ["attention", "--checkpoint", "pretrain", "--patch", "1"] + data, "--patch")
    try expect(64, ["codebook", "--tokenizer", "tokenizer", "--codes", "0"] + data, "--codes")
    let run = try workshop.peco(
      ["figure", "masked", "--model", "pretrain", "--output", "nowhere/c.png"] + data)
    #expect(run.exitCode == 1 && run.errors.contains("nowhere/c.png"), "\(run)")
  }
}
