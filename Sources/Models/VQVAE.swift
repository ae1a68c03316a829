import Layers
import Tensors

/// The tokenizer of PeCo: a convolutional encoder, a codebook, and a decoder that draws images from entries.
///
/// Architecture and parameter names are VQGAN's (Esser et al., 2012.09841), with two residual blocks at each
/// resolution and self-attention at the smallest (Dong et al., 2111.12710, section 3). Images are
/// [batch, height, width, 3] with values in [−1, 1].
public final class VQVAE: Tokenizer {
  /// What a forward pass in training gives.
  public struct Output {
    /// The images as drawn from their entries, [batch, height, width, 3].
    public let reconstruction: Tensor
    /// What the last layer drew them from, [batch, height, width, base width], off the tape.
    public let features: Tensor
    /// The commitment loss, a scalar without its weight.
    public let commitment: Tensor
    /// The codebook's own loss, a scalar, where entries learn by gradient.
    public let codebookLoss: Tensor?
    /// The entry of each token, image by image, row by row.
    public let tokens: [Int32]
    /// What the encoder gave before the codebook, [batch, grid, grid, codebook dimension], off the tape.
    public let encoded: Tensor
  }

  /// The size of the model.
  public let configuration: VQVAEConfiguration
  /// The codebook.
  public let quantizer: VectorQuantizer
  /// Everything the scope of the model holds, in the order of forward.
  public let parameters: [Parameter]

  private let encoder: VQVAEEncoder
  private let quantizerInput: Convolution2d
  private let quantizerOutput: Convolution2d
  private let decoder: VQVAEDecoder

  /// A tokenizer whose parameters are made in `scope`. Throws if the configuration cannot be.
  public init(_ configuration: VQVAEConfiguration, in scope: ParameterScope) throws {
    try configuration.validate()
    let length = configuration.codebookDimension
    self.configuration = configuration
    encoder = VQVAEEncoder(configuration, in: scope / "encoder")
    quantizerInput = Convolution2d(length, length, kernel: 1, in: scope / "quant_conv")
    quantizer = VectorQuantizer(
      entries: configuration.codebookSize, length: length, decay: configuration.codebookDecay,
      learning: configuration.codebookLearning, normalized: configuration.normalizesCodebook,
      in: scope / "quantize")
    quantizerOutput = Convolution2d(length, length, kernel: 1, in: scope / "post_quant_conv")
    decoder = VQVAEDecoder(configuration, in: scope / "decoder")
    parameters = scope.parameters
  }

  public var imageSize: Int { configuration.imageSize }
  public var patchSize: Int { configuration.patchSize }
  public var vocabulary: Int { configuration.codebookSize }

  /// Vectors before the codebook, [batch, height / patch, width / patch, codebook dimension].
  public func encode(_ images: Tensor) -> Tensor { quantizerInput(encoder(images)) }

  /// Images from vectors of the codebook, [batch, height, width, 3].
  public func decode(_ quantized: Tensor) -> Tensor {
    decoder.output(decoder.features(quantizerOutput(quantized)))
  }

  /// The decoder's last convolution.
  public var lastLayer: Convolution2d { decoder.output }

  /// The entry of each token of the images, image by image, row by row.
  public func tokens(_ images: Tensor) -> [Int32] { quantizer.nearest(encode(images)) }

  public func codebookVectors(_ tokens: [Int32]) -> Tensor {
    quantizer.lookUp(tokens, shape: [tokens.count, configuration.codebookDimension])
  }

  public func images(from tokens: [Int32]) -> Tensor {
    let grid = configuration.gridSize
    let images = tokens.count / (grid * grid)
    precondition(
      tokens.count == images * grid * grid, "\(tokens.count) tokens do not fill images of \(grid)²")
    return cutOff(
      decode(quantizer.lookUp(tokens, shape: [images, grid, grid, configuration.codebookDimension])))
  }

  /// Encodes, quantizes and decodes. In training, the vectors count in the codebook's next update.
  public func callAsFunction(_ images: Tensor, mode: Mode) -> Output {
    let z = encode(images)
    let entries = quantizer(z, mode: mode)
    let features = decoder.features(quantizerOutput(entries.quantized))
    return Output(
      reconstruction: decoder.output(features), features: features.detached, commitment: entries.commitment,
      codebookLoss: entries.codebookLoss, tokens: entries.indices, encoded: z.detached)
  }
}
