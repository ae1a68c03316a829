import PeCoTrainer

/// What every run has, the transformer, and how strong the noise is.
struct DenoisingConfiguration: RunConfiguration {
  var shared: SharedConfiguration
  var dimensions: TransformerDimensions
  /// Standard deviation of the noise, where pixels have one of about 1.
  var noise: Double

  init(_ reader: ConfigurationReader) {
    shared = SharedConfiguration(reader, defaults: .transformer)
    dimensions = TransformerDimensions(reader, imageSize: shared.data.imageSize)
    noise = reader.value("noise.deviation", .double(.between(0, 10)), default: 0.5)
  }
}

/// A denoising autoencoder (Vincent et al., 2008): a vision transformer sees an image under Gaussian noise and predicts
/// the pixels of the image.
final class DenoisingTask: TrainingTask, OptimizedUnit {
  static let task = "denoising"
  static let headlines = ["error_of_noise"]
  let name = CheckpointUnit.model
  let parameters: [Parameter]
  var metrics = MetricSums(["error_of_noise"])
  private let backbone: VisionTransformer
  private let head: Linear
  private let seed: UInt64
  private let deviation: Float

  init(_ configuration: DenoisingConfiguration) throws {
    let scope = ParameterScope(seed: configuration.shared.seed)
    let architecture = configuration.dimensions.architecture(imageSize: configuration.shared.data.imageSize)
    backbone = try VisionTransformer(architecture, in: scope)
    let pixels = architecture.patchSize * architecture.patchSize * 3
    head = Linear(architecture.width, pixels, in: scope / "pixels")
    parameters = scope.parameters
    seed = configuration.shared.seed
    deviation = Float(configuration.noise)
  }

  var units: [any TrainableUnit] { [self] }

  func loss(of batch: Batch, on tape: Tape?, mode: Mode) throws -> Loss {
    let images = try batch.requiredImages
    let noisy = self.noisy(images, of: batch)
    // All tokens but each image's first, which stands for its class.
    let (patches, tokens) = (backbone.configuration.patches, backbone.configuration.tokens)
    let rows = (0..<batch.count).flatMap { image in (1..<tokens).map { image * tokens + $0 } }
    let hidden = backbone.hiddenStates(tape?.constant(noisy) ?? noisy, rows: rows)
    let side = backbone.configuration.patchSize
    let pixels = patchPixels(
      images, patchSize: side, patches: (0..<Int32(batch.count * patches)).map { $0 }, normalized: false)
    // What the loss would be if the model gave its input back.
    metrics.add(
      "error_of_noise", mean: Double(meanSquaredError(noisy, images).item), weight: Double(batch.count))
    return Loss(mean: meanSquaredError(head(backbone.norm(hidden)), pixels), weight: Double(batch.count))
  }

  func finishStep(
    _ step: Int, metrics: MetricSums, communicator: Communicator
  ) throws -> [NamedValue] { [("error_of_noise", metrics.mean("error_of_noise") ?? 0)] }

  /// The images under noise that belongs to the sample and the step, so that it is the same on any number of ranks.
  private func noisy(_ images: Tensor, of batch: Batch) -> Tensor {
    var pixels = images.elements
    let size = pixels.count / batch.count
    for (place, sample) in batch.samples.enumerated() {
      var stream = RandomStream(seed: seed, purpose: .own(1), time: batch.step, index: sample)
      for pixel in place * size..<(place + 1) * size { pixels[pixel] += deviation * stream.normal() }
    }
    return Tensor(pixels, shape: images.shape)
  }
}
