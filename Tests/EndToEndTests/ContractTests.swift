import Foundation
import Testing

/// The promises about results: exact resume, and the same result on any number of ranks.
@Suite(.serialized) struct ContractTests {
  @Test(arguments: [Workshop.Stage.tokenizer, .pretrain, .perceptual])
  func `2N steps equal N, stop, resume, N`(stage: Workshop.Stage) throws {
    let workshop = try Workshop()
    try workshop.prepare()
    if stage == .pretrain { try workshop.train(.tokenizer, set: ["training.steps=2"]) }
    try workshop.train(stage, run: "whole", ranks: 2)
    try workshop.train(stage, run: "parts", set: ["training.stop_after_step=3"], ranks: 2)
    #expect(try workshop.metric("step", of: "parts") == ["1", "2", "3"])
    try workshop.train(stage, run: "parts", ranks: 2)

    #expect(try workshop.metric("step", of: "parts") == (1...8).map(String.init))
    #expect(try workshop.metric("loss", of: "parts") == workshop.metric("loss", of: "whole"))
    #expect(
      try workshop.metric("gradient_norm", of: "parts") == workshop.metric("gradient_norm", of: "whole"))
    let (whole, parts) = (
      try workshop.weights(of: "whole", step: 8), try workshop.weights(of: "parts", step: 8)
    )
    #expect(whole.count > 20)
    #expect(whole == parts)
  }

  /// Losses of the same global batches on 1 rank, 2 of two threads and 4, as `metrics.jsonl` writes them.
  private func losses(
    of stage: Workshop.Stage, in workshop: Workshop, set overrides: [String]
  ) throws -> [[String]] {
    try [(1, 1), (2, 2), (4, 1)].map { ranks, threads in
      let settings = ["training.steps=20", "training.threads=\(threads)"] + overrides
      try workshop.train(stage, run: "\(ranks)", set: settings, ranks: ranks)
      return try workshop.metric("loss", of: "\(ranks)")
    }
  }

  @Test(arguments: [Workshop.Stage.tokenizer, .pretrain])
  func `summed in float64, losses are the same to the bit on 1 rank, 2 of two threads, and 4`(
    stage: Workshop.Stage
  ) throws {
    let workshop = try Workshop()
    try workshop.prepare()
    if stage == .pretrain { try workshop.train(.tokenizer, set: ["training.steps=2"]) }
    let losses = try losses(of: stage, in: workshop, set: ["communication.reduce_dtype=float64"])
    #expect(losses[0].count == 20 && Set(losses[0]).count > 10)
    #expect(losses[1] == losses[0])
    #expect(losses[2] == losses[0])
  }

  @Test func `summed in float32, losses are the same to the rounding on 1, 2 and 4 ranks`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    try workshop.train(.tokenizer, set: ["training.steps=2"])
    let losses = try losses(of: .pretrain, in: workshop, set: ["communication.reduce_dtype=float32"])
      .map { $0.compactMap(Double.init) }
    #expect(losses.allSatisfy { $0.count == 20 })
    for (alone, together) in zip(losses[0] + losses[0], losses[1] + losses[2]) {
      #expect(abs(together - alone) <= 1e-6 * alone)
    }
  }

  @Test func `in bfloat16 runs repeat and resume to the bit, agree on other ranks, and may go on in float32`()
    throws
  {
    let workshop = try Workshop()
    try workshop.prepare()
    try workshop.train(.tokenizer, set: ["training.steps=2"])
    let four = ["training.steps=4"]
    let narrow = four + ["training.precision=bfloat16"]
    for stage in [Workshop.Stage.tokenizer, .pretrain] {
      let name = "\(stage)-"
      try workshop.train(stage, run: name + "wide", set: four)
      for run in ["whole", "again"] { try workshop.train(stage, run: name + run, set: narrow) }
      try workshop.train(stage, run: name + "parts", set: narrow + ["training.stop_after_step=2"])
      try workshop.train(stage, run: name + "parts", set: narrow)
      let losses = try workshop.metric("loss", of: name + "whole")
      #expect(losses.count == 4 && Set(losses).count == 4)
      #expect(try workshop.metric("loss", of: name + "again") == losses)
      #expect(try workshop.metric("loss", of: name + "parts") == losses)
      let whole = try workshop.weights(of: name + "whole", step: 4)
      #expect(try workshop.weights(of: name + "parts", step: 4) == whole)
      let wide = try workshop.metric("loss", of: name + "wide")
      #expect(wide != losses)

      try workshop.train(stage, run: name + "ranks", set: narrow, ranks: 2)
      try workshop.train(
        stage, run: name + "wire", set: narrow + ["communication.reduce_dtype=bfloat16"], ranks: 2)
      try workshop.train(stage, run: name + "changed", set: narrow + ["training.stop_after_step=2"])
      try workshop.train(stage, run: name + "changed", set: four + ["training.precision=float32"])
      for (run, tolerance) in [("wide", 0.02), ("ranks", 0.001), ("wire", 0.03), ("changed", 0.02)] {
        let others = try workshop.metric("loss", of: name + run)
        #expect(others.count == 4)
        for (loss, other) in zip(losses.compactMap(Double.init), others.compactMap(Double.init)) {
          #expect(abs(other - loss) <= tolerance * loss, "\(stage), \(run)")
        }
      }
    }
  }

  @Test func `tokenizers of each kind and contrastive learning train in bfloat16`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    let narrow = ["training.precision=bfloat16", "training.steps=2"]
    let adversarial = "adversarial={discriminator: patch, start_step: 0, base_width: 8, layers: 2}"
    try workshop.train(.tokenizer, run: "adversarial", set: narrow + [adversarial])
    for network in ["resnet50", "vit"] {
      try workshop.train(
        .tokenizer, run: network,
        set: narrow + ["perceptual={network: \(network), weights: random, taps: [1, 2]}"])
    }
    try workshop.train(.perceptual, run: "contrast", set: narrow)
    try workshop.write(Workshop.discreteConfiguration, to: "tokenizer.yaml")
    try workshop.train(.tokenizer, run: "discrete", set: narrow)
    let encoded = try workshop.peco([
      "tokenizer", "encode", "--tokenizer", "discrete", "--data", "images.h5", "--output", "tokens.h5",
      "--precision", "bfloat16",
    ])
    #expect(encoded.exitCode == 0, "\(encoded)")
    try workshop.train(.pretrain, set: narrow + ["tokens={file: tokens.h5}"])
    let features = try workshop.peco([
      "features", "--checkpoint", "pretrain", "--data", "images.h5", "--output", "features.h5", "--precision",
      "bfloat16",
    ])
    #expect(features.exitCode == 0, "\(features)")
  }

  @Test func `tokens of a token file are those that the tokenizer computes on the fly`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    try workshop.train(.tokenizer, set: ["training.steps=2"])
    for (name, ranks) in [("one.h5", nil), ("two.h5", 2)] {
      let run = try workshop.peco(
        [
          "tokenizer", "encode", "--tokenizer", "tokenizer", "--data", "images.h5", "--output", name,
          "--views", "2", "--batch-size", "3",
        ], ranks: ranks)
      #expect(run.exitCode == 0, "\(run)")
    }
    try workshop.train(.pretrain, set: ["tokens={file: one.h5}"])
    try workshop.train(.pretrain, run: "again", set: ["tokens={file: two.h5}"])
    #expect(try workshop.metric("loss", of: "pretrain") == workshop.metric("loss", of: "again"))
  }

  @Test func `a pretrained transformer serves as perceptual network`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    try workshop.train(.tokenizer, set: ["training.steps=2"])
    try workshop.train(.pretrain, set: ["training.steps=2"])
    let weights = "pretrain/checkpoints/step-000000002.h5"
    let run = try workshop.train(
      .tokenizer, run: "second",
      set: ["perceptual={network: vit, weights: \(weights), taps: [1, 2]}", "training.steps=2"],
      ranks: 2)
    #expect(!run.errors.contains("UNTRAINED"), "\(run)")
    #expect(try workshop.metric("perceptual_loss", of: "second").count == 2)
  }

  @Test func `reconstructions are drawn and measured`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    try workshop.train(.tokenizer, set: ["training.steps=2"])
    let run = try workshop.peco(
      [
        "tokenizer", "reconstruct", "--tokenizer", "tokenizer", "--data", "images.h5", "--output",
        "grid.png",
      ])
    #expect(run.exitCode == 0, "\(run)")
    #expect(run.output.contains("PSNR"))
    #expect(
      try Data(contentsOf: URL(filePath: workshop.path("grid.png"))).starts(with: [0x89, 0x50, 0x4E, 0x47]))
  }

  @Test func `a discrete VAE is trained like the other tokenizer, and teaches like it`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    try workshop.write(Workshop.discreteConfiguration, to: "tokenizer.yaml")
    try workshop.train(.tokenizer, run: "whole")
    try workshop.train(.tokenizer, run: "parts", set: ["training.stop_after_step=2"], ranks: 2)
    try workshop.train(.tokenizer, run: "parts")
    let losses = try workshop.metric("loss", of: "whole")
    #expect(losses.count == 4 && Set(losses).count == 4)
    #expect(try workshop.metric("loss", of: "parts") == losses)
    #expect(try workshop.weights(of: "parts", step: 4) == workshop.weights(of: "whole", step: 4))
    #expect(try workshop.metric("temperature", of: "whole").first == "1")

    let drawn = try workshop.peco(
      [
        "tokenizer", "reconstruct", "--tokenizer", "whole", "--data", "images.h5", "--output", "grid.png",
      ])
    #expect(drawn.exitCode == 0 && drawn.output.contains("PSNR"), "\(drawn)")
    let encoded = try workshop.peco(
      ["tokenizer", "encode", "--tokenizer", "whole", "--data", "images.h5", "--output", "tokens.h5"])
    #expect(encoded.exitCode == 0, "\(encoded)")
    for (run, tokens) in [("onthefly", "{tokenizer: whole}"), ("file", "{file: tokens.h5}")] {
      try workshop.train(
        .pretrain, run: run, set: ["tokens=\(tokens)", "training.steps=2"])
      #expect(try workshop.metric("accuracy", of: run).count == 2)
    }

    // A transformer of more patches has it shown larger images.
    let larger = try workshop.peco([
      "tokenizer", "encode", "--tokenizer", "whole", "--data", "images.h5", "--output", "larger.h5",
      "--image-size", "48",
    ])
    #expect(larger.exitCode == 0 && larger.errors.contains("6 × 6 tokens"), "\(larger)")
    for (run, tokens) in [("larger", "{tokenizer: whole}"), ("larger-file", "{file: larger.h5}")] {
      try workshop.train(
        .pretrain, run: run, set: ["tokens=\(tokens)", "data.image_size=48", "training.steps=1"])
    }
    let figure = try workshop.peco([
      "figure", "masked", "--model", "larger", "--data", "images.h5", "--output", "masked.png",
    ])
    #expect(figure.exitCode == 0, "\(figure)")
  }

  @Test(arguments: [
    ["target.kind=pixels"], ["target={kind: pixels, positions: all}"], ["target.positions=all"],
  ])
  func `other targets resume exactly, on any number of ranks`(target: [String]) throws {
    let workshop = try Workshop()
    try workshop.prepare()
    let isTokens = target == ["target.positions=all"]
    if isTokens { try workshop.train(.tokenizer, set: ["training.steps=2"]) }
    let settings = target + ["training.steps=4", "communication.reduce_dtype=float64"]
    try workshop.train(.pretrain, run: "whole", set: settings)
    try workshop.train(.pretrain, run: "parts", set: settings + ["training.stop_after_step=2"], ranks: 2)
    try workshop.train(.pretrain, run: "parts", set: settings)
    let losses = try workshop.metric("loss", of: "whole")
    #expect(losses.count == 4 && Set(losses).count == 4)
    #expect(try workshop.metric("loss", of: "parts") == losses)
    #expect(try workshop.weights(of: "parts", step: 4) == workshop.weights(of: "whole", step: 4))
    for (metric, isExpected) in [("accuracy", isTokens), ("explained_variance", !isTokens)] {
      #expect(try workshop.metric(metric, of: "whole").count == (isExpected ? 4 : 0))
    }
  }

  @Test func `tokens of length 1 resume exactly, on any number of ranks`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    let settings = [
      "codebook={normalize: true, size: 24, dimension: 8, revive_every_steps: 2}", "training.steps=6",
      "perceptual={network: none}",
    ]
    try workshop.train(.tokenizer, run: "whole", set: settings)
    try workshop.train(.tokenizer, run: "parts", set: settings + ["training.stop_after_step=3"], ranks: 2)
    try workshop.train(.tokenizer, run: "parts", set: settings)
    let losses = try workshop.metric("loss", of: "whole")
    #expect(losses.count == 6 && Set(losses).count == 6)
    #expect(try workshop.metric("loss", of: "parts") == losses)
    #expect(try workshop.weights(of: "parts", step: 6) == workshop.weights(of: "whole", step: 6))
    #expect(try workshop.metric("perceptual_loss", of: "whole").isEmpty)
  }

  @Test func `a discriminator resumes exactly, on any number of ranks, with every option on`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    let settings = [
      "codebook={learning: gradient, normalize: true, size: 24, dimension: 8, revive_every_steps: 2}",
      "adversarial={discriminator: patch, base_width: 8, layers: 2, start_step: 2}", "training.steps=6",
    ]
    try workshop.train(.tokenizer, run: "whole", set: settings)
    try workshop.train(.tokenizer, run: "parts", set: settings + ["training.stop_after_step=3"], ranks: 2)
    try workshop.train(.tokenizer, run: "parts", set: settings, ranks: 4)
    let losses = try workshop.metric("loss", of: "whole")
    #expect(losses.count == 6 && Set(losses).count == 6)
    for metric in ["loss", "discriminator_loss", "adversarial_weight"] {
      #expect(try workshop.metric(metric, of: "parts") == workshop.metric(metric, of: "whole"), "\(metric)")
    }
    // It sets in with the third step.
    #expect(try workshop.metric("discriminator_loss", of: "whole").count == 4)
    let (whole, parts) = (
      try workshop.weights(of: "whole", step: 6), try workshop.weights(of: "parts", step: 6)
    )
    #expect(whole == parts)
    let before = try workshop.weights(of: "parts", step: 3)
    for name in ["discriminator/main.0.weight", "optimizer/discriminator/second_moment/main.3.bias"] {
      let path = try #require(whole.keys.first { $0.hasSuffix(name) })
      #expect(whole[path] != before[path], "\(name)")
    }

    // The tokenizer serves without its discriminator, and a run without one has none to go on with.
    let drawn = try workshop.peco(
      ["tokenizer", "reconstruct", "--tokenizer", "whole", "--data", "images.h5", "--output", "grid.png"])
    #expect(drawn.exitCode == 0 && drawn.output.contains("PSNR"), "\(drawn)")
    try workshop.train(.tokenizer, run: "alone", set: [settings[0], "training.steps=1"])
    let refused = try workshop.peco(
      ["tokenizer", "train", "--config", "tokenizer.yaml", "--run", "alone", "--set"] + settings)
    #expect(refused.exitCode == 1 && refused.errors.contains("holds no discriminator"), "\(refused)")
  }
}
