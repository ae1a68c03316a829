import Communication
import Datasets
import Evaluation
import Interoperability
import Models
import Terminal
import Trainer

/// `peco evaluate`.
public enum ClassifierEvaluation {
  /// Scores a fine-tuned transformer. Collective.
  public static func run(
    checkpoint: String, averaged: Bool, dataset path: String, view: FrozenTransformer.View,
    communicator: Communicator
  ) throws -> ClassificationScore {
    let source = try FrozenTransformer(
      checkpoint, averaged: averaged, view: view, communicator: communicator)
    let model = try source.classifier()
    let dataset = try ImageDataset.open(path, on: communicator)
    let data = try communicator.agree {
      try source.requireClasses(of: dataset)
      return source.data(of: dataset)
    }
    // Nothing cancels it.
    return try data.score(communicator: communicator) { model($0) } ?? ClassificationScore()
  }
}
