import Layers
import Operations
import Tensors

/// A vision transformer with BEiT's architecture (Bao et al., 2106.08254), with the parameter names of its published
/// code and of timm.
public struct VisionTransformer {
  /// What the last norm is applied to, and its name.
  public enum FinalNorm: String, Codable, Sendable, CaseIterable {
    /// Tokens: `norm`.
    case tokens = "norm"
    /// The mean of tokens: `fc_norm`.
    case pooled = "fc_norm"
  }

  /// What it is made of.
  public let configuration: VisionTransformerConfiguration
  private let finalNorm: LayerNorm?
  private let patchEmbedding: PatchEmbedding
  private let assembly: TokenAssembly
  private let sharedBias: RelativePositionBias?
  private let blocks: [VisionTransformerBlock]

  /// Makes the parameters in `scope`.
  ///
  /// - Parameters:
  ///   - configuration: What it is made of.
  ///   - maskToken: Whether patches may be masked (`mask_token`).
  ///   - norm: What the last norm is for; nil for none.
  ///   - scope: Where the parameters are made.
  /// - Throws: `VisionTransformerConfigurationError`.
  public init(
    _ configuration: VisionTransformerConfiguration, maskToken: Bool = false, norm: FinalNorm? = .tokens,
    in scope: ParameterScope
  ) throws {
    try configuration.validate()
    self.configuration = configuration
    let embedding = scope.at(depth: 0)
    let end = scope.at(depth: configuration.lastDepth)
    let patches = embedding / "patch_embed"
    patchEmbedding = PatchEmbedding(
      patchSize: configuration.patchSize, width: configuration.width,
      in: configuration.hasFixedPatchProjection ? patches.untrained : patches,
      initializer: configuration.initializer(
        3 * configuration.patchSize * configuration.patchSize, configuration.width))
    assembly = TokenAssembly(
      patches: configuration.patches, width: configuration.width, maskToken: maskToken,
      positions: configuration.positions.contains(.absolute),
      fixedPositions: configuration.positions.contains(.sinCos)
        ? sinCosPositions(grid: configuration.grid, width: configuration.width) : nil, in: embedding,
      initializer: configuration.initialization == .xavierUniform
        ? .normal(1e-6) : .truncatedNormal(configuration.initialDeviation))
    sharedBias =
      configuration.positions.contains(.sharedRelative)
      ? RelativePositionBias(
        gridHeight: configuration.grid, gridWidth: configuration.grid, heads: configuration.heads,
        in: end / "rel_pos_bias") : nil
    blocks = (0..<configuration.depth).map {
      VisionTransformerBlock(configuration, number: $0, in: scope.at(depth: $0 + 1) / "blocks" / $0)
    }
    finalNorm = norm.map {
      LayerNorm(configuration.width, epsilon: configuration.normEpsilon, in: end / $0.rawValue)
    }
  }

  /// Tokens, or their mean, normalized as after the last block; as they are where the transformer has no norm there.
  /// `hiddenStates` and `features` do not do it.
  public func norm(_ tokens: Tensor) -> Tensor { finalNorm?(tokens) ?? tokens }

  /// The tokens after the last block, before the final norm: [B, N + 1, width], the class token first.
  ///
  /// - Parameters:
  ///   - images: [B, imageSize, imageSize, 3]
  ///   - masked: Flat numbers (b · N + p) of the masked patches, ascending.
  ///   - depth: The draws of stochastic depth; nil to use every branch of every sample.
  public func hiddenStates(
    _ images: Tensor, masked: [Int32] = [], depth: StochasticDepth? = nil
  ) -> Tensor {
    let entry = embed(images, masked: masked)
    return pass(entry, through: blocks[...], depth: depth)
  }

  /// The tokens after the last block, before the final norm, of some of them only: [rows.count, width].
  ///
  /// The last block computes queries, projection and MLP for these alone.
  ///
  /// - Parameters:
  ///   - images: [B, imageSize, imageSize, 3].
  ///   - masked: Flat numbers (b · N + p) of the masked patches, ascending.
  ///   - rows: Flat token numbers (b · (N + 1) + n), ascending.
  ///   - depth: The draws of stochastic depth; nil to use every branch of every sample.
  public func hiddenStates(
    _ images: Tensor, masked: [Int32] = [], rows: [Int], depth: StochasticDepth? = nil
  ) -> Tensor {
    let entry = embed(images, masked: masked)
    let last = blocks.count - 1
    return blocks[last](
      pass(entry, through: blocks[..<last], depth: depth), rows: rows, bias: entry.bias, depth: depth)
  }

  /// The class tokens after the last block and the final norm: [B, width].
  public func classTokens(_ images: Tensor, depth: StochasticDepth? = nil) -> Tensor {
    let rows = (0..<images.shape[0]).map { $0 * configuration.tokens }
    return norm(hiddenStates(images, rows: rows, depth: depth))
  }

  /// The tokens after several blocks, for example after 3, 6, 9 and 12 as PeCo's perceptual loss reads them:
  /// [B, N + 1, width] each. Blocks after the last one asked for are not computed.
  ///
  /// - Parameters:
  ///   - images: [B, imageSize, imageSize, 3].
  ///   - wanted: How many blocks the tokens have passed; 0 stands for the embedding.
  public func features(_ images: Tensor, blocks wanted: [Int]) -> [Tensor] {
    states(embed(images, masked: []), after: wanted, depth: nil)
  }

  /// The patch tokens after several blocks as maps of the image, before the final norm: [B, H / patch, W / patch,
  /// width] each, as dense prediction takes them from a backbone. Blocks after the last one asked for are not computed.
  ///
  /// On another grid of patches than the trained one positions are interpolated as in fine-tuning
  /// (`PositionInterpolation`), and trained through the interpolation.
  ///
  /// - Parameters:
  ///   - images: [B, H, W, 3], H and W multiples of the patch size.
  ///   - wanted: How many blocks the tokens have passed: i + 1 for block i of timm's `forward_intermediates`; 0 stands
  ///     for the embedding.
  ///   - depth: The draws of stochastic depth; nil to use every branch of every sample.
  public func featureMaps(
    of images: Tensor, at wanted: [Int], depth: StochasticDepth? = nil
  ) -> [Tensor] {
    let shape = images.shape
    let patch = configuration.patchSize
    precondition(
      shape.count == 4 && shape[1] > 0 && shape[2] > 0 && shape[1] % patch == 0 && shape[2] % patch == 0,
      "images of shape \(shape) do not fall into patches of \(patch)")
    let (height, width) = (shape[1] / patch, shape[2] / patch)
    let entry =
      ResampledPositions(configuration, height: height, width: width).map { embed(images, at: $0) }
      ?? embed(images, masked: [])
    let rows = (0..<shape[0] * height * width).map { $0 + $0 / (height * width) + 1 }
    return states(entry, after: wanted, depth: depth).map {
      gatherRows($0, rows).reshaped([shape[0], height, width, configuration.width])
    }
  }

  /// The tokens after some numbers of blocks.
  private func states(_ entry: Entry, after wanted: [Int], depth: StochasticDepth?) -> [Tensor] {
    precondition(wanted.allSatisfy { $0 >= 0 && $0 <= blocks.count }, "no such block among \(wanted)")
    var tokens = entry.tokens
    var states = [0: tokens]
    for number in 0..<(wanted.max() ?? 0) {
      tokens = blocks[number](tokens, bias: entry.bias, positions: entry.positions, depth: depth)
      if wanted.contains(number + 1) { states[number + 1] = tokens }
    }
    return wanted.compactMap { states[$0] }
  }

  /// How much some tokens attend to all of their image's in a block, by head: [rows.count, heads, N + 1], summing to 1.
  /// The class token comes first. Blocks after the one asked for are not computed.
  ///
  /// - Parameters:
  ///   - images: [B, imageSize, imageSize, 3].
  ///   - rows: Flat token numbers (b · (N + 1) + n).
  ///   - block: From 1.
  public func attentionProbabilities(_ images: Tensor, rows: [Int], block: Int) -> Tensor {
    precondition((1...blocks.count).contains(block), "no block \(block) among \(blocks.count)")
    let entry = embed(images, masked: [])
    return blocks[block - 1].attentionProbabilities(
      pass(entry, through: blocks[..<(block - 1)], depth: nil), rows: rows, bias: entry.bias)
  }

  /// What enters the first block.
  private struct Entry {
    let tokens: Tensor
    /// Which of the tokens are the same.
    let repetition: RowRepetition?
    /// Of all blocks' attention.
    let bias: Tensor?
    /// Of another grid than the trained one.
    var positions: ResampledPositions?
  }

  private func embed(_ images: Tensor, masked: [Int32]) -> Entry {
    let side = configuration.imageSize
    precondition(
      images.shape.count == 4 && images.shape[1] == side && images.shape[2] == side,
      "images of shape \(images.shape) for a model of \(side) × \(side)")
    let samples = images.shape[0]
    let visible = masked.isEmpty ? nil : assembly.visible(masked: masked, samples: samples)
    let tokens = assembly(patchEmbedding(images, patches: visible), visible: visible, samples: samples)
    return Entry(
      tokens: tokens, repetition: assembly.repetition(visible: visible, samples: samples),
      bias: sharedBias?(alongside: tokens))
  }

  /// What enters the first block from images of another grid than the trained one.
  private func embed(_ images: Tensor, at positions: ResampledPositions) -> Entry {
    let tokens = positions.sequence(patchEmbedding(images), of: assembly, samples: images.shape[0])
    return Entry(
      tokens: tokens, repetition: nil, bias: sharedBias?(alongside: tokens, on: positions),
      positions: positions)
  }

  /// The tokens after the first blocks.
  private func pass(
    _ entry: Entry, through blocks: ArraySlice<VisionTransformerBlock>, depth: StochasticDepth?
  ) -> Tensor {
    guard let first = blocks.first else { return entry.tokens }
    let tokens = first(entry.tokens, repetition: entry.repetition, bias: entry.bias, depth: depth)
    return blocks.dropFirst().reduce(tokens) { $1($0, bias: entry.bias, depth: depth) }
  }
}
