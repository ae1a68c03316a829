import Layers
import Tensors

/// BEiT's tokenizer, the baseline that PeCo is compared with: DALL-E's discrete VAE (Ramesh et al., 2102.12092, section
/// 2.1 and appendix A), with the architecture and the parameter names of its published code.
///
/// The encoder gives logits over the words at each place of a grid. In training the decoder sees soft samples of them
/// (Gumbel-softmax), elsewhere the words of the greatest logits. Pictures are [batch, height, width, 3] in [−1, 1]; the
/// networks see them from 0.1 to 0.9, where the decoder's logit-Laplace distribution lives.
public final class DVAE: Tokenizer {
  /// What a forward pass gives.
  public struct Output {
    /// The pictures as drawn from their samples of words, [batch, height, width, 3]: where the decoder's distribution
    /// has its median.
    public let reconstruction: Tensor
    /// The decoder's distribution of each pixel, [batch, height, width, 6]; see `logitLaplaceLoss`.
    public let statistics: Tensor
    /// KL of the words' distribution from the uniform prior, the mean over tokens in nats.
    public let divergence: Tensor
    /// The word of the greatest logit of each token, picture by picture, row by row.
    public let tokens: [Int32]
  }

  /// A soft sample of the words.
  public struct Sampling {
    /// What is added to the logits, [batch, grid, grid, vocabulary]; see `GumbelNoise`.
    public let noise: Tensor
    /// Of the softmax; the lower, the nearer to single words.
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

  /// The logits over the words, [batch, height / patch, width / patch, vocabulary].
  public func logits(_ pictures: Tensor) -> Tensor { encoder(mapping(pictures)) }

  public func tokens(_ pictures: Tensor) -> [Int32] { argmax(logits(pictures)) }

  public func words(_ tokens: [Int32]) -> Tensor { decoder.words(tokens) }

  public func pictures(from tokens: [Int32]) -> Tensor {
    let grid = configuration.gridSize
    precondition(
      tokens.count % (grid * grid) == 0, "\(tokens.count) tokens do not fill pictures of \(grid)²")
    // The distribution reaches a little beyond the pictures' range.
    return cutOff(median(decoder(tokens, grid: grid)))
  }

  /// Encodes, samples and decodes.
  ///
  /// - Parameter sampling: How words are sampled in training; nil for the words of the greatest logits.
  public func callAsFunction(_ pictures: Tensor, sampling: Sampling?) -> Output {
    let logits = logits(pictures)
    let tokens = argmax(logits)
    let statistics =
      sampling.map { decoder(gumbelSoftmax(logits, noise: $0.noise, temperature: $0.temperature)) }
      ?? decoder(tokens, grid: logits.shape[1])
    return Output(
      reconstruction: median(statistics), statistics: statistics, divergence: uniformDivergence(logits),
      tokens: tokens)
  }

  /// The mean negative log-likelihood of pictures under the decoder's distribution of `statistics`.
  public func likelihoodLoss(_ statistics: Tensor, _ pictures: Tensor) -> Tensor {
    logitLaplaceLoss(statistics, mapping(pictures.detached))
  }

  private func median(_ statistics: Tensor) -> Tensor { inverse(sigmoid(channelSlice(statistics, 0..<3))) }
}
