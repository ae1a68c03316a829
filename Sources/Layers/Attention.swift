import Operations
import Tensors

/// Multi-head self-attention with BEiT's parameters.
public struct Attention {
  /// Which of queries, keys and values have a bias.
  public enum Bias: String, Codable, Sendable, CaseIterable {
    /// Queries and values (`q_bias`, `v_bias`): the keys' would cancel in the softmax. As in BEiT.
    case queryValue = "query_value"
    /// All three, in one (`qkv.bias`). As in ViT, DeiT, MoCo v3.
    case full
    /// None of them.
    case none
  }

  /// [3 width, width]: queries, keys, values.
  public let weight: Parameter
  /// Maps the heads' results back.
  public let projection: Linear
  private let queryBias: Parameter?
  private let valueBias: Parameter?
  private let fullBias: Parameter?
  private let heads: Int
  private let width: Int

  /// Makes `qkv.weight`, its biases, `proj.weight` and `proj.bias` in `scope`.
  /// `heads` divides `width`.
  public init(
    _ width: Int, heads: Int, bias: Bias = .queryValue, in scope: ParameterScope,
    initializer: Initializer = .truncatedNormal(0.02),
    projectionInitializer: Initializer = .truncatedNormal(0.02)
  ) {
    precondition(width % heads == 0, "\(heads) heads do not divide a width of \(width)")
    self.heads = heads
    self.width = width
    weight = (scope / "qkv").parameter("weight", [3 * width, width], initializer, role: .weight)
    fullBias = bias == .full ? (scope / "qkv").parameter("bias", [3 * width], .zeros, role: .bias) : nil
    queryBias = bias == .queryValue ? scope.parameter("q_bias", [width], .zeros, role: .bias) : nil
    valueBias = bias == .queryValue ? scope.parameter("v_bias", [width], .zeros, role: .bias) : nil
    projection = Linear(width, width, in: scope / "proj", initializer: projectionInitializer)
  }

  /// The parameters in the order in which they were made.
  public var parameters: [Parameter] {
    [weight] + [fullBias, queryBias, valueBias].compactMap { $0 } + projection.parameters
  }

  /// [B, N, width] → [B, N, width], with a bias [heads, N, N] of the logits if given.
  public func callAsFunction(_ x: Tensor, bias: Tensor? = nil) -> Tensor { projection(heads(x, bias: bias)) }

  /// The result for some tokens only, which attend to all: [B, N, width] → [rows.count, width].
  /// `rows` are flat token numbers (b · N + n), ascending.
  public func callAsFunction(_ x: Tensor, rows: [Int], bias: Tensor? = nil) -> Tensor {
    projection(heads(x, rows: rows, bias: bias))
  }

  /// What the heads give, side by side, before `projection`; with `norm`, for x normalized by it, of which only
  /// `samples` take part: [B, N, width] → [B or samples.count, N, width].
  ///
  /// Queries, keys and values of tokens that are the same by `repetition` are computed once if all samples take part.
  public func heads(
    _ x: Tensor, normalizedBy norm: LayerNorm? = nil, samples: [Int]? = nil,
    repetition: RowRepetition? = nil, bias: Tensor? = nil
  ) -> Tensor {
    func packed(_ x: Tensor) -> Tensor {
      linear(
        x, normalizedBy: norm?.affine, samples: samples, weight, biases: biases(of: 0..<3), isNarrow: true)
    }
    guard let repetition, samples == nil else {
      return scaledDotProductAttention(packed(x), heads: heads, bias: bias)
    }
    let qkv = repeatRows(packed(gatherRows(x, repetition.distinct)), repetition, shape: x.shape.dropLast())
    return scaledDotProductAttention(qkv, heads: heads, bias: bias)
  }

  /// The same for some tokens only, which attend to all: [B, N, width] → [rows.count, width].
  public func heads(_ x: Tensor, rows: [Int], bias: Tensor? = nil) -> Tensor {
    let keyValue = linear(
      x, weight, outputs: width..<3 * width, biases: biases(of: 1..<3), isNarrow: true)
    let query = linear(
      gatherRows(x, rows), weight, outputs: 0..<width, biases: biases(of: 0..<1), isNarrow: true)
    return scaledDotProductAttention(query, rows: rows, keyValue: keyValue, heads: heads, bias: bias)
  }

  /// How much some tokens attend to all of their image's, by head: [B, N, width] → [rows.count, heads, N], off the
  /// tape. `rows` are flat token numbers (b · N + n).
  public func probabilities(_ x: Tensor, rows: [Int], bias: Tensor? = nil) -> Tensor {
    let x = x.detached
    let key = linear(x, weight, outputs: width..<2 * width, biases: biases(of: 1..<2))
    let query = linear(gatherRows(x, rows), weight, outputs: 0..<width, biases: biases(of: 0..<1))
    return attentionProbabilities(query, rows: rows, key: key, heads: heads, bias: bias)
  }

  /// The biases of some of queries (0), keys (1) and values (2), laid out for a product with those alone.
  private func biases(of parts: Range<Int>) -> [BiasSlice] {
    if let fullBias {
      return [BiasSlice(fullBias, parts.lowerBound * width..<parts.upperBound * width)]
    }
    var slices: [BiasSlice] = []
    if let queryBias, parts.contains(0) { slices.append(BiasSlice(queryBias)) }
    if let valueBias, parts.contains(2) {
      slices.append(BiasSlice(valueBias, at: (2 - parts.lowerBound) * width))
    }
    return slices
  }
}
