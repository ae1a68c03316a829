import Foundation
import Storage
import Testing

/// `peco perceptual train` from the command line.
@Suite(.serialized) struct PerceptualTests {
  @Test func `losses and neighbors are the same on 1, 2 and 4 ranks`() throws {
    let workshop = try Workshop()
    try workshop.prepare(images: 60)
    let runs = try [1, 2, 4].map { ranks in
      try workshop.train(.perceptual, run: "\(ranks)", set: ["training.steps=4"], ranks: ranks)
      return (
        losses: try workshop.metric("loss", of: "\(ranks)").compactMap(Double.init),
        norms: try workshop.metric("gradient_norm", of: "\(ranks)").compactMap(Double.init),
        neighbors: try workshop.metric("knn_accuracy", of: "\(ranks)").compactMap(Double.init)
      )
    }
    #expect(runs[0].losses.count == 4 && Set(runs[0].losses).count == 4)
    for run in runs[1...] {
      for (alone, together) in zip(runs[0].losses, run.losses) {
        #expect(abs(together - alone) <= 1e-5 * alone)
      }
      // Statistics over a rank's own share would give other gradients from the first step on.
      for (alone, together) in zip(runs[0].norms, run.norms) {
        #expect(abs(together - alone) <= 1e-4 * alone)
      }
      #expect(run.neighbors == runs[0].neighbors)
    }
    // MoCo v3: 1 - (1 - 0.99) (1 + cos(π step / steps)) / 2.
    let momenta = try workshop.metric("momentum", of: "1").compactMap(Double.init)
    #expect(momenta.count == 4)
    for (step, momentum) in momenta.enumerated() {
      #expect(abs(momentum - (1 - 0.005 * (1 + cos(Double.pi * Double(step) / 4)))) < 1e-8)
    }
    // One measurement, after the last step.
    #expect(runs[0].neighbors.count == 1)
  }

  @Test func `a share that would have to be cut is refused`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    let run = try workshop.peco([
      "perceptual", "train", "--config", "perceptual.yaml", "--run", "run", "--set",
      "training.micro_batch_size=4",
    ])
    #expect(run.exitCode == 1 && run.errorLines.count == 1, "\(run)")
    #expect(
      run.errors.contains("training.micro_batch_size is 4") && run.errors.contains("8 images"), "\(run)")
    // Two ranks have shares of that size.
    try workshop.train(.perceptual, set: ["training.micro_batch_size=4", "training.steps=1"], ranks: 2)
  }

  @Test func `its checkpoint serves the tokenizer as perceptual network`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    try workshop.train(.perceptual, set: ["training.steps=2"])
    let losses = try ["perceptual", "perceptual/checkpoints/step-000000002.h5"].map { weights in
      let run = try workshop.train(
        .tokenizer, run: "second",
        set: ["perceptual={network: vit, weights: \(weights), taps: [1, 2]}", "training.steps=1"],
        ranks: 2, arguments: ["--resume", "never"])
      #expect(!run.errors.contains("UNTRAINED"), "\(run)")
      defer { try? FileManager.default.removeItem(atPath: workshop.path("second")) }
      return try workshop.metric("perceptual_loss", of: "second")
    }
    #expect(losses[0].count == 1 && losses[0] == losses[1])

    // Exported, it is a transformer without what served its training.
    let run = try workshop.peco([
      "export", "--checkpoint", "perceptual", "--layout", "timm", "--output", "timm.safetensors",
    ])
    #expect(run.exitCode == 0 && !run.errors.contains("left out"), "\(run)")
    let names = try SafetensorsFile(opening: workshop.path("timm.safetensors")).names
    #expect(names.contains("pos_embed") && names.count == 6 + 2 * 12)
  }

  @Test func `neighbors are asked about a second dataset`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    let other = try workshop.peco([
      "dataset", "synthesize", "--output", "other.h5", "--count", "30", "--size", "40", "--seed", "9",
    ])
    #expect(other.exitCode == 0, "\(other)")
    try workshop.train(.perceptual, set: ["training.steps=1", "evaluation.path=other.h5"])
    let accuracy = try workshop.metric("knn_accuracy", of: "perceptual").compactMap(Double.init)
    // Of 30 images.
    #expect(accuracy.count == 1 && accuracy.allSatisfy { abs($0 * 30 - ($0 * 30).rounded()) < 1e-6 })
    // Each of the training set's own images is its nearest neighbor.
    try workshop.train(
      .perceptual, run: "same",
      set: ["training.steps=1", "evaluation.path=images.h5", "evaluation.neighbors=1"], ranks: 2)
    #expect(try workshop.metric("knn_accuracy", of: "same") == ["1"])
    let missing = try workshop.peco([
      "perceptual", "train", "--config", "perceptual.yaml", "--run", "run", "--set",
      "evaluation.path=missing.h5",
    ])
    #expect(missing.exitCode == 1 && missing.errors.contains("missing.h5"), "\(missing)")
  }

  /// Writes what each of 256 channels counts, as LPIPS's files have it.
  private func writeChannelWeights(_ value: Float, to path: String) throws {
    let values = [Float](repeating: value, count: 256)
    try SafetensorsFile.write(tensors: [("lin0.model.1.weight", [1, 256, 1, 1], values)], to: path)
  }

  @Test func `a tokenizer under a ResNet-50 with LPIPS's channel weights`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    try writeChannelWeights(1, to: workshop.path("ones.safetensors"))
    try writeChannelWeights(0.5, to: workshop.path("halves.safetensors"))
    try writeChannelWeights(-1, to: workshop.path("below.safetensors"))
    func settings(_ weights: String) -> [String] {
      [
        "training.steps=1",
        "perceptual={network: resnet50, weights: random, taps: [1], comparison: unit_channels, "
          + "channel_weights: \(weights)}",
      ]
    }
    var losses: [Double] = []
    for (name, weights) in [("plain", "null"), ("one", "ones.safetensors"), ("half", "halves.safetensors")] {
      try workshop.train(.tokenizer, run: name, set: settings(weights), ranks: name == "half" ? 2 : nil)
      losses += try workshop.metric("perceptual_loss", of: name).compactMap(Double.init)
    }
    #expect(losses.count == 3 && losses[0] > 0.01)
    #expect(abs(losses[1] - losses[0]) < 1e-5 * losses[0])
    #expect(abs(losses[2] - losses[0] / 2) < 1e-5 * losses[0])

    let run = try workshop.peco(
      ["tokenizer", "train", "--config", "tokenizer.yaml", "--run", "below", "--set"]
        + settings("below.safetensors"))
    #expect(run.exitCode == 1 && run.errors.contains("lin0.model.1.weight"), "\(run)")
  }
}
