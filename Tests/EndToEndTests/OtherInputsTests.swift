import Foundation
import Testing

/// A run goes on with what it began with, or not at all: anything else would be another run under its name.
@Suite(.serialized) struct OtherInputsTests {
  @Test func `a tokenizer that is another when pretraining goes on`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    try workshop.train(.tokenizer, set: ["training.steps=2"])
    try workshop.train(.pretrain, set: ["training.stop_after_step=2"])
    try workshop.train(.tokenizer, set: ["training.steps=3"])
    let arguments = ["pretrain", "--config", "pretrain.yaml", "--run", "pretrain"]
    expectError(try workshop.peco(arguments, ranks: 2), "tokens of another tokenizer", "step-000000002.h5")
    expectError(
      try workshop.peco([
        "figure", "masked", "--model", "pretrain", "--data", "images.h5", "--output", "m.png",
      ]), "tokens of another tokenizer")
    try workshop.train(.pretrain, set: ["tokens.tokenizer=tokenizer/checkpoints/step-000000002.h5"])
    #expect(try workshop.metric("step", of: "pretrain").count == 8)
  }

  @Test func `a token file that is another when pretraining goes on`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    try workshop.train(.tokenizer, set: ["training.steps=2"])
    func encode(_ options: String...) throws {
      let run = try workshop.peco(
        ["tokenizer", "encode", "--tokenizer", "tokenizer", "--data", "images.h5", "--output", "t.h5"]
          + options)
      #expect(run.exitCode == 0, "\(run)")
    }
    try encode()
    try workshop.train(.pretrain, set: ["tokens={file: t.h5}", "training.stop_after_step=2"])
    let arguments = [
      "pretrain", "--config", "pretrain.yaml", "--run", "pretrain", "--set", "tokens={file: t.h5}",
    ]
    for options in [["--views", "1"], ["--interpolation", "lanczos"]] {
      try encode(options[0], options[1])
      expectError(try workshop.peco(arguments), "another token file", "step-000000002.h5")
    }
    try encode()
    #expect(try workshop.peco(arguments).exitCode == 0)
  }

  @Test func `a perceptual network that is another when a tokenizer goes on`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    try workshop.train(.perceptual, set: ["training.stop_after_step=2"])
    func network(_ weights: String) -> String {
      "perceptual={network: vit, weights: \(weights), taps: [1, 2]}"
    }
    try workshop.train(.tokenizer, set: [network("perceptual"), "training.stop_after_step=2"])
    try workshop.train(.perceptual, set: ["training.stop_after_step=3"])
    let arguments = ["tokenizer", "train", "--config", "tokenizer.yaml", "--run", "tokenizer", "--set"]
    expectError(
      try workshop.peco(arguments + [network("perceptual")], ranks: 2), "another perceptual network",
      "step-000000002.h5")
    try workshop.train(.tokenizer, set: [network("perceptual/checkpoints/step-000000002.h5")])
    #expect(try workshop.metric("step", of: "tokenizer").count == 8)
  }

  @Test func `images that are others when a run goes on`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    try workshop.train(.tokenizer, set: ["training.stop_after_step=2"])
    func synthesize(_ file: String, seed: Int) throws {
      let run = try workshop.peco([
        "dataset", "synthesize", "--output", file, "--count", "40", "--size", "40", "--seed", "\(seed)",
      ])
      #expect(run.exitCode == 0, "\(run)")
    }
    try synthesize("images.h5", seed: 9)
    let arguments = ["tokenizer", "train", "--config", "tokenizer.yaml", "--run", "tokenizer"]
    expectError(try workshop.peco(arguments, ranks: 2), "other images", "data.path")
    // Another path says that others are meant.
    try synthesize("others.h5", seed: 9)
    let run = try workshop.train(.tokenizer, set: ["data.path=others.h5"])
    #expect(run.errors.contains("data.path: images.h5 → others.h5"), "\(run)")
  }
}
