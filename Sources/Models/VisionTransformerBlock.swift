import Layers
import Operations
import Tensors

/// A transformer block, normalizing before attention and before the MLP, with layer scale and stochastic depth.
struct VisionTransformerBlock {
  private let norm1: LayerNorm
  private let attention: Attention
  private let relativePositions: RelativePositionBias?
  private let gamma1: Parameter?
  private let norm2: LayerNorm
  private let fc1: Linear
  private let fc2: Linear
  private let gamma2: Parameter?
  private let number: Int
  private let dropRate: Float

  /// Block `number`, from 0.
  init(_ configuration: VisionTransformerConfiguration, number: Int, in scope: ParameterScope) {
    self.number = number
    dropRate = configuration.dropPathRate(block: number)
    let width = configuration.width
    let epsilon = configuration.normEpsilon
    let hidden = configuration.hiddenWidth
    func layerScale(_ name: String) -> Parameter? {
      configuration.layerScale.map { scope.parameter(name, [width], .constant($0), role: .layerScale) }
    }
    norm1 = LayerNorm(width, epsilon: epsilon, in: scope / "norm1")
    relativePositions =
      configuration.positions.contains(.relative)
      ? RelativePositionBias(
        gridHeight: configuration.grid, gridWidth: configuration.grid, heads: configuration.heads,
        in: scope / "attn") : nil
    attention = Attention(
      width, heads: configuration.heads, bias: configuration.qkvBias, in: scope / "attn",
      initializer: configuration.initializer(width, width),
      projectionInitializer: configuration.initializer(width, width, endOfBlock: number))
    gamma1 = layerScale("gamma_1")
    norm2 = LayerNorm(width, epsilon: epsilon, in: scope / "norm2")
    fc1 = Linear(
      width, hidden, in: scope / "mlp" / "fc1", initializer: configuration.initializer(width, hidden))
    fc2 = Linear(
      hidden, width, in: scope / "mlp" / "fc2",
      initializer: configuration.initializer(hidden, width, endOfBlock: number))
    gamma2 = layerScale("gamma_2")
  }

  /// [B, N, width] → [B, N, width]
  ///
  /// - Parameters:
  ///   - repetition: Which tokens of x are the same.
  ///   - positions: Those of another grid than the trained one.
  func callAsFunction(
    _ x: Tensor, repetition: RowRepetition? = nil, bias: Tensor?, positions: ResampledPositions? = nil,
    depth: StochasticDepth?
  ) -> Tensor {
    let kept = depth?.kept(layer: number, branch: 0, rate: dropRate)
    let bias = relativePositions?(alongside: x, on: positions) ?? bias
    let middle = attend(x, kept: kept, depth: depth) {
      attention.heads(x, normalizedBy: norm1, samples: kept, repetition: repetition, bias: bias)
    }
    return transform(middle, kept: depth?.kept(layer: number, branch: 1, rate: dropRate), depth: depth)
  }

  /// The block's result for some tokens only: [B, N, width] → [rows.count, width].
  ///
  /// - Parameter rows: Flat token numbers (b · N + n), ascending.
  func callAsFunction(_ x: Tensor, rows: [Int], bias: Tensor?, depth: StochasticDepth?) -> Tensor {
    let tokens = x.shape[1]
    let bias = relativePositions?(alongside: x) ?? bias

    /// Places in `rows` that belong to the kept samples.
    func places(_ kept: [Int]?) -> [Int]? {
      guard let kept else { return nil }
      let samples = Set(kept)
      return rows.indices.filter { samples.contains(rows[$0] / tokens) }
    }

    let kept = depth?.kept(layer: number, branch: 0, rate: dropRate)
    let keptRows = places(kept)
    let middle = attend(gatherRows(x, rows), kept: keptRows, depth: depth) {
      // The kept samples alone go through attention, numbered anew.
      var queries = rows
      if let kept, let keptRows {
        var place = [Int](repeating: 0, count: x.shape[0])
        for (index, sample) in kept.enumerated() { place[sample] = index }
        queries = keptRows.map { place[rows[$0] / tokens] * tokens + rows[$0] % tokens }
      }
      return attention.heads(norm1(x, samples: kept), rows: queries, bias: bias)
    }
    return transform(
      middle, kept: places(depth?.kept(layer: number, branch: 1, rate: dropRate)), depth: depth)
  }

  /// How much some tokens attend to all of their image's, by head: [B, N, width] → [rows.count, heads, N].
  func attentionProbabilities(_ x: Tensor, rows: [Int], bias: Tensor?) -> Tensor {
    attention.probabilities(norm1(x), rows: rows, bias: relativePositions?(alongside: x) ?? bias)
  }

  /// x + attention's projection of what its heads give for the kept entries; heads that none keeps do nothing.
  private func attend(_ x: Tensor, kept: [Int]?, depth: StochasticDepth?, heads: () -> Tensor) -> Tensor {
    if let kept, kept.isEmpty { return residual(x, skipping: attentionParameters) }
    return attention.projection.residual(
      x, heads(), gamma: gamma1, samples: kept, factor: factor(depth))
  }

  /// x + the MLP of the kept entries.
  private func transform(_ x: Tensor, kept: [Int]?, depth: StochasticDepth?) -> Tensor {
    if let kept, kept.isEmpty { return residual(x, skipping: mlpParameters) }
    return fc2.residual(
      x, fc1.product(x, normalizedBy: norm2, samples: kept), activation: fc1.bias, gamma: gamma2,
      samples: kept, factor: factor(depth))
  }

  /// What is kept is enlarged, so that the sum has the same mean as without dropping.
  private func factor(_ depth: StochasticDepth?) -> Float { depth == nil ? 1 : 1 / (1 - dropRate) }

  private var attentionParameters: [Parameter] {
    norm1.parameters + (relativePositions.map { [$0.table] } ?? []) + attention.parameters
      + (gamma1.map { [$0] } ?? [])
  }

  private var mlpParameters: [Parameter] {
    norm2.parameters + fc1.parameters + fc2.parameters + (gamma2.map { [$0] } ?? [])
  }
}
