import Communication
import Configuration
import Datasets
import Models
import Operations
import Tensors
import Trainer

/// The configuration of rotation prediction: what every task has, and the transformer.
struct RotationConfiguration: RunConfiguration {
  var shared: SharedConfiguration
  var dimensions: TransformerDimensions

  init(_ reader: ConfigurationReader) {
    shared = SharedConfiguration(reader, defaults: .transformer)
    dimensions = TransformerDimensions(reader, imageSize: shared.data.imageSize)
  }
}

/// Rotation prediction (Gidaris et al., 1803.07728): which of four quarter turns an image has made.
final class RotationTask: TrainingTask, OptimizedUnit {
  static let task = "rotation"
  static let headlines = ["accuracy"]
  let name = CheckpointUnit.model
  let parameters: [Parameter]
  let card: Card?
  var metrics = MetricSums(["accuracy"])
  private let model: ClassificationModel
  private let seed: UInt64

  init(_ configuration: RotationConfiguration) throws {
    let scope = ParameterScope(seed: configuration.shared.seed)
    let architecture = configuration.dimensions.architecture(imageSize: configuration.shared.data.imageSize)
    model = try ClassificationModel(architecture, classes: 4, in: scope)
    parameters = scope.parameters
    card = .transformer(
      ModelCard(
        .init(architecture, norm: .pooled, head: .init(.classes, outputs: 4)),
        .init(configuration.shared.data)))
    seed = configuration.shared.seed
  }

  var units: [any TrainableUnit] { [self] }

  func loss(of batch: Batch, on tape: Tape?, mode: Mode) throws -> Loss {
    let images = try batch.requiredImages
    // The draw belongs to the sample and the step, not to the rank or the micro-batch.
    let turns = batch.samples.map { sample in
      var stream = RandomStream(seed: seed, purpose: .own(1), time: batch.step, index: sample)
      return stream.integer(below: 4)
    }
    let turned = Self.turned(images, by: turns)
    let (mean, correct) = crossEntropy(model(tape?.constant(turned) ?? turned), turns.map { Int32($0) })
    metrics.add("accuracy", sum: Double(correct), weight: Double(batch.count))
    return Loss(mean: mean, weight: Double(batch.count))
  }

  func finishStep(
    _ step: Int, metrics: MetricSums, communicator: Communicator
  ) throws -> [NamedValue] { [("accuracy", metrics.mean("accuracy") ?? 0)] }

  /// Images [batch, side, side, 3], each by so many quarter turns.
  static func turned(_ images: Tensor, by turns: [Int]) -> Tensor {
    let (side, pixels) = (images.shape[1], images.elements)
    var result = pixels
    for (image, turns) in turns.enumerated() {
      for row in 0..<side {
        for column in 0..<side {
          let (fromRow, fromColumn) = [
            (row, column), (column, side - 1 - row), (side - 1 - row, side - 1 - column),
            (side - 1 - column, row),
          ][turns]
          let to = ((image * side + row) * side + column) * 3
          let from = ((image * side + fromRow) * side + fromColumn) * 3
          for channel in 0..<3 { result[to + channel] = pixels[from + channel] }
        }
      }
    }
    return Tensor(result, shape: images.shape)
  }
}

/// Trains as a request asks. Collective.
func trainRotation(_ request: RunRequest, communicator: Communicator) throws -> TrainingLoop.Outcome {
  let setup = try RunSetup<RotationConfiguration>(request, communicator: communicator)
  let data = setup.configuration.shared.data
  let samples = SamplePipeline(
    seed: setup.configuration.shared.seed, augmentation: data.augmentation, image: data.imagePreprocessing)
  let task = try communicator.agree { try RotationTask(setup.configuration) }
  return try setup.train(task, samples: samples, communicator: communicator)
}
