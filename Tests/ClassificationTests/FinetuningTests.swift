import Classification
import Communication
import Configuration
import Evaluation
import Foundation
import Imaging
import Interoperability
import Preparation
import PublishedWeights
import Tensors
import Terminal
import TestSupport
import Testing
import Trainer

/// What fine-tuning takes from the weights it starts from, and what its checkpoint tells.
@Suite struct FinetuningTests {
  /// Images of two classes in a dataset.
  private func dataset(_ folder: String, classes: [String]) throws -> String {
    let name = classes.joined()
    for (number, label) in classes.enumerated() {
      let place = "\(folder)/\(name)/\(label)"
      try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
      for image in 0..<4 {
        let level = UInt8(60 * number + 20 * image)
        try Image(width: 32, height: 32, color: (level, 100, 200)).writePNG(to: "\(place)/\(image).png")
      }
    }
    _ = try DatasetPreparation(input: "\(folder)/\(name)", output: "\(folder)/\(name).h5").run()
    return "\(folder)/\(name).h5"
  }

  /// An imported plain transformer, 12 wide with 3 heads, a dataset of the classes a and b, and a configuration.
  private func prepare(_ folder: String) throws {
    let source = try #require(PublishedWeights.all.first { $0.name == "timm_vit" })
    _ = try WeightConversion.importWeights(
      .init(
        source: source.path, layout: .timm, output: folder + "/vit.h5",
        told: .init(
          heads: 3,
          normalization: ImageNormalization(mean: [0.5, 0.4, 0.3], standardDeviation: [0.5, 0.6, 0.7]))))
    let data = try dataset(folder, classes: ["a", "b"])
    try """
    data: {path: \(data), image_size: 32, workers: 1}
    model: {weights: \(folder)/vit.h5}
    augmentation: {mixup: 0, cutmix: 0, rand_augment: null, erasing: 0}
    training: {steps: 2, global_batch_size: 4, micro_batch_size: 4}
    """.write(toFile: folder + "/c.yaml", atomically: true, encoding: .utf8)
  }

  @discardableResult
  private func run(
    _ folder: String, _ name: String, _ settings: String..., resume: ResumeChoice = .auto
  ) throws -> (configuration: FinetuneConfiguration, outcome: TrainingLoop.Outcome) {
    let outcome = try Finetuning.run(
      RunRequest(
        configuration: folder + "/c.yaml", directory: "\(folder)/\(name)", resume: resume,
        overrides: settings), communicator: Communicator())
    return (try FinetuneConfiguration.load(file: "\(folder)/\(name)/config.yaml").configuration, outcome)
  }

  @Test func imagesAreNormalizedAsForTheWeightsUnlessTheConfigurationSaysIt() throws {
    try withTemporaryFolder { folder in
      try prepare(folder)
      let data = try run(folder, "plain").configuration.shared.data
      #expect(data.mean == [0.5, 0.4, 0.3] && data.standardDeviation == [0.5, 0.6, 0.7])
      let other = try run(folder, "other", "data.mean=[0.1, 0.2, 0.3]").configuration.shared.data
      #expect(other.mean == [0.1, 0.2, 0.3] && other.standardDeviation == [0.5, 0.6, 0.7])
    }
  }

  @Test func whatTheWeightsSayOtherwiseIsRefused() throws {
    try withTemporaryFolder { folder in
      try prepare(folder)
      for (setting, tokens) in [
        ("model.mlp_ratio=3", "model.mlp_ratio is 3.0, but"),
        ("model.norm_epsilon=1e-5", "model.norm_epsilon is"),
        ("model.width=24", "model.width is 24"), ("model.size=huge", "model.size is huge"),
        ("model.qkv_bias=query_value", "model.qkv_bias is query_value"),
      ] {
        let error = #expect(throws: RunError.self) { try run(folder, "bad", setting) }
        #expect("\(try #require(error))".contains(tokens))
      }
      try run(folder, "good", "model.mlp_ratio=2.01", "model.norm_epsilon=1e-6")
    }
  }

  @Test func aRunThatGoesOnNeedsItsWeightsNoMore() throws {
    try withTemporaryFolder { folder in
      try prepare(folder)
      try run(folder, "whole", "training.stop_after_step=1")
      // What lies there now is a transformer of another architecture.
      let other = try #require(PublishedWeights.all.first { $0.name == "huggingface_masked" })
      _ = try WeightConversion.importWeights(
        .init(source: other.path, layout: .huggingface, output: folder + "/vit.h5", told: .init(heads: 3)))
      let (configuration, outcome) = try run(folder, "whole")
      #expect(outcome.isComplete && configuration.model.explicitPositions == .absolute)
      #expect(configuration.shared.data.mean == [0.5, 0.4, 0.3])
      // Nor where the checkpoint is named.
      try Data("nothing".utf8).write(to: URL(fileURLWithPath: folder + "/vit.h5"))
      let named = try run(
        folder, "third", "training.steps=3",
        resume: .checkpoint(folder + "/whole/checkpoints/step-000000002.h5"))
      #expect(named.outcome.step == 3)
    }
  }

  @Test func averagesFollowTheWeightsAndLeaveThemAlone() throws {
    try withTemporaryFolder { folder in
      try prepare(folder)
      let often = ["checkpoint.every_steps=1", "checkpoint.keep=3", "ema.decay=0.75"]
      try run(folder, "plain", often[0], often[1], often[2])
      try run(
        folder, "evaluated", often[0], often[1], often[2], "evaluation.path=\(folder)/ab.h5",
        "evaluation.every_epochs=0.5")
      func checkpoint(_ run: String, _ step: Int) -> String {
        "\(folder)/\(run)/checkpoints/step-00000000\(step).h5"
      }
      func values(_ run: String, step: Int) throws -> [String: [Float]] {
        var values: [String: [Float]] = [:]
        for unit in ["model", "ema"] {
          let file = try WeightFile(
            opening: checkpoint(run, step), unit: unit, anchor: "patch_embed.proj.weight")
          for name in file.shapes.keys { values["\(unit)/\(name)"] = try file.values(of: name) }
        }
        return values
      }
      let (first, second) = (try values("plain", step: 1), try values("plain", step: 2))
      let names = second.keys.filter { $0.hasPrefix("ema/") }.map { $0.dropFirst(4) }
      #expect(names.count == second.count / 2 && names.contains("blocks.1.mlp.fc1.weight"))
      for name in names {
        let (earlier, new, found) = (first["ema/" + name], second["model/" + name], second["ema/" + name])
        let expected = zip(try #require(earlier), try #require(new)).map { 0.75 * $0 + 0.25 * $1 }
        #expect(relativeError(try #require(found), expected) < 1e-6, "\(name)")
      }
      #expect(first["ema/head.weight"] != first["model/head.weight"])
      // What an evaluation puts in the weights' place is taken away again.
      #expect(try values("evaluated", step: 2) == second)

      let lines = try String(contentsOfFile: folder + "/evaluated/metrics.jsonl", encoding: .utf8)
      let last = try #require(lines.split(separator: "\n").last)
      let metrics = try #require(JSONSerialization.jsonObject(with: Data(last.utf8)) as? [String: Any])
      for (key, averaged) in [("evaluation_loss", false), ("ema_evaluation_loss", true)] {
        let score = try ClassifierEvaluation.run(
          checkpoint: checkpoint("evaluated", 2), averaged: averaged, dataset: folder + "/ab.h5",
          view: FrozenTransformer.View(), communicator: Communicator())
        #expect(abs(score.loss - (try #require(metrics[key] as? Double))) < 1e-6, "\(key)")
      }
      #expect(metrics["evaluation_loss"] as? Double != metrics["ema_evaluation_loss"] as? Double)
    }
  }

  @Test func anotherDatasetsClassesAreRefused() throws {
    try withTemporaryFolder { folder in
      try prepare(folder)
      try run(folder, "run")
      func evaluate(_ data: String) throws -> ClassificationScore {
        try ClassifierEvaluation.run(
          checkpoint: folder + "/run", averaged: false, dataset: data, view: FrozenTransformer.View(),
          communicator: Communicator())
      }
      #expect(try evaluate(folder + "/ab.h5").images == 8)
      let other = try dataset(folder, classes: ["a", "c"])
      let error = #expect(throws: RunError.self) { try evaluate(other) }
      #expect("\(try #require(error))".contains("class 1 is 'c', expected 'b'"))

      // One that does not know the names.
      let path = folder + "/run/checkpoints/step-000000002.h5"
      var header = try Checkpoint.header(of: path)
      var card = try #require(header.card?.transformer)
      #expect(card.classes == ["a", "b"])
      card.classes = nil
      header.card = .transformer(card)
      let file = try WeightFile(opening: path, anchor: "patch_embed.proj.weight")
      let scope = ParameterScope(seed: 0)
      for (name, shape) in file.shapes { _ = scope.parameter(name, shape, .zeros, role: .weight) }
      try file.fill(scope.parameters)
      try Checkpoint.write(header, parameters: scope.parameters, optimizer: nil, to: path)
      #expect(try evaluate(other).images == 8)
    }
  }
}
