import ImageOperations
import Layers
import Operations
import Tensors

/// BEiT's tokenizer, the baseline that PeCo is compared with: DALL-E's discrete VAE (Ramesh et al., 2102.12092, section
/// 2.1 and appendix A), with the architecture and the parameter names of its published code.
///
/// The encoder gives logits over the tokens at each place of a grid. In training the decoder sees soft samples of them
/// (Gumbel-softmax), elsewhere the tokens of the greatest logits. Images are [batch, height, width, 3] in [−1, 1]; the
/// networks see them from 0.1 to 0.9, where the decoder's logit-Laplace distribution lives.
public final class DVAE: Tokenizer {
  /// What a forward pass gives.
  public struct Output {
    /// The images as drawn from their samples of tokens, [batch, height, width, 3]: where the decoder's distribution
    /// has its median.
    public let reconstruction: Tensor
    /// The decoder's distribution of each pixel, [batch, height, width, 6]; see `logitLaplaceLoss`.
    public let statistics: Tensor
    /// KL of the tokens' distribution from the uniform prior, the mean over tokens in nats.
    public let divergence: Tensor
    /// The token of the greatest logit of each token, image by image, row by row.
    public let tokens: [Int32]
  }

  /// A soft sample of the tokens.
  public struct Sampling {
    /// What is added to the logits, [batch, grid, grid, vocabulary]; see `GumbelNoise`.
    public let noise: Tensor
    /// Of the softmax; the lower, the nearer to single tokens.
    public let temperature: Float

    /// A sample by `noise` at `temperature`.
    public init(noise: Tensor, temperature: Float) {
      (self.noise, self.temperature) = (noise, temperature)
    }
  }

  /// The size of the model.
  public let configuration: DVAEConfiguration
  /// Everything the scope of the model holds, in the order of forward.
  public let parameters: [Parameter]
  private let encoder: DVAEEncoder
  private let decoder: DVAEDecoder
  /// From [−1, 1] to [0.1, 0.9], and back.
  private let mapping = ChannelAffine(scale: [0.4, 0.4, 0.4], offset: [0.5, 0.5, 0.5])
  private let inverse = ChannelAffine(scale: [2.5, 2.5, 2.5], offset: [-1.25, -1.25, -1.25])

  /// A tokenizer whose parameters are made in `scope`. Throws if the configuration cannot be.
  public init(_ configuration: DVAEConfiguration, in scope: ParameterScope) throws {
    try configuration.validate()
    self.configuration = configuration
    encoder = DVAEEncoder(configuration, in: scope / "encoder")
    decoder = DVAEDecoder(configuration, in: scope / "decoder")
    parameters = scope.parameters
  }

  public var imageSize: Int { configuration.imageSize }
  public var patchSize: Int { configuration.patchSize }
  public var vocabulary: Int { configuration.vocabulary }

  /// The logits over the tokens, [batch, height / patch, width / patch, vocabulary].
  public func logits(_ images: Tensor) -> Tensor { encoder(mapping(images)) }

  public func tokens(_ images: Tensor) -> [Int32] { argmax(logits(images)) }

  public func codebookVectors(_ tokens: [Int32]) -> Tensor { decoder.codebookVectors(tokens) }

  public func images(from tokens: [Int32]) -> Tensor {
    let grid = configuration.gridSize
    precondition(
      tokens.count % (grid * grid) == 0, "\(tokens.count) tokens do not fill images of \(grid)²")
    // The distribution reaches a little beyond the images' range.
    return cutOff(median(decoder(tokens, grid: grid)))
  }

  /// Encodes, samples and decodes.
  ///
  /// - Parameters:
  ///   - images: [B, side, side, 3].
  ///   - sampling: How tokens are sampled in training; nil for the tokens of the greatest logits.
  public func callAsFunction(_ images: Tensor, sampling: Sampling?) -> Output {
    let logits = logits(images)
    let tokens = argmax(logits)
    let statistics =
      sampling.map { decoder(gumbelSoftmax(logits, noise: $0.noise, temperature: $0.temperature)) }
      ?? decoder(tokens, grid: logits.shape[1])
    return Output(
      reconstruction: median(statistics), statistics: statistics, divergence: uniformDivergence(logits),
      tokens: tokens)
  }

  /// The mean negative log-likelihood of images under the decoder's distribution of `statistics`.
  public func likelihoodLoss(_ statistics: Tensor, _ images: Tensor) -> Tensor {
    logitLaplaceLoss(statistics, mapping(images.detached))
  }

  private func median(_ statistics: Tensor) -> Tensor { inverse(sigmoid(channelSlice(statistics, 0..<3))) }
}
