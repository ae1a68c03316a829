import Classification
import Communication
import Configuration
import Evaluation
import Models
import Preparation
import Tensors
import Terminal
import TestSupport
import Testing
import Trainer

/// Names of classes that a checkpoint brings, against a dataset's.
@Suite struct ClassOrderTests {
  /// Writes the checkpoint of a small classifier.
  private func writeClassifier(_ path: String, classes: [String]) throws {
    var architecture = VisionTransformerConfiguration()
    (
      architecture.imageSize, architecture.patchSize, architecture.width, architecture.depth,
      architecture.heads
    ) = (40, 8, 24, 1, 2)
    let scope = ParameterScope(seed: 4)
    _ = try ClassificationModel(architecture, classes: classes.count, in: scope)
    try Checkpoint.write(
      CheckpointHeader(
        task: CheckpointHeader.imported, step: 0, epoch: 0, samplePosition: 0, updates: 0, seed: 0,
        configuration: "",
        card: .transformer(
          ModelCard(
            .init(architecture, norm: .pooled, head: .init(.classes, outputs: classes.count)),
            classes: classes))),
      parameters: scope.parameters, optimizer: nil, to: path)
  }

  @Test func classesInAnotherOrderAreRefusedInEvaluation() throws {
    try withTemporaryFolder { folder in
      let (data, path) = (folder + "/images.h5", folder + "/model.h5")
      _ = try DatasetSynthesis(count: 10, size: 40, seed: 1).write(dataset: data)
      var names = SyntheticImage.classes
      func evaluate() throws -> Int {
        try writeClassifier(path, classes: names)
        return try ClassifierEvaluation.run(
          checkpoint: path, averaged: false, dataset: data, view: FrozenTransformer.View(),
          communicator: Communicator()
        ).images
      }
      #expect(try evaluate() == 10)
      names.swapAt(2, 3)
      let error = #expect(throws: RunError.self) { try evaluate() }
      #expect(
        "\(try #require(error))".contains(
          "in another order; class 2 is '\(names[3])', expected '\(names[2])', class 3 is "))
    }
  }
}
