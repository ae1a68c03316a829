import CKernels
@_spi(TensorMemory) import Tensors

/// Where queries, keys and values (or their gradients) of the first head begin.
struct AttentionOperands<Scalar> {
  let query: UnsafeMutablePointer<Scalar>
  let key: UnsafeMutablePointer<Scalar>
  let value: UnsafeMutablePointer<Scalar>
}

/// What forward leaves to backward.
struct AttentionTrace {
  /// log Σ exp of each query's logits, [heads, queries].
  let normalizer: Tensor
  /// What each query weighs the values by, [heads, queries, N]; nil where backward computes it again.
  let weights: Tensor?
}

/// How the operands of attention lie in memory, and the two passes over them. A task is a head of one or several
/// samples; an N × N matrix that is not kept lives as long as the task.
struct AttentionShape {
  let heads: Int
  let headWidth: Int
  /// Keys of each sample.
  let tokens: Int
  /// Rows of the queries and of the output that belong to each sample.
  let queries: [Range<Int>]
  /// Row of the bias for each query; nil if the queries are all the tokens.
  let positions: [Int32]?
  let queryStride: Int
  let keyStride: Int

  var scale: Float { 1 / Float(headWidth).squareRoot() }
  var outputStride: Int { heads * headWidth }
  var queryCount: Int { queries.last?.upperBound ?? 0 }

  func check(_ bias: Tensor?) {
    if let bias { precondition(bias.shape == [heads, tokens, tokens], "bias of shape \(bias.shape)") }
  }

  /// From row to row of the weights: of bfloat16 whole vectors.
  func weightStride(_ dtype: DType) -> Int { dtype == .float32 ? tokens : (tokens + 31) / 32 * 32 }

  func trace(of inputs: [Tensor], dtype: DType) -> AttentionTrace {
    let isKept = inputs.contains {
      $0.needsGradient && $0.tape?.activationCheckpointing == ActivationCheckpointing.none
    }
    return AttentionTrace(
      normalizer: Tensor(uninitialized: [heads, queryCount]),
      weights: isKept
        ? Tensor(uninitialized: [heads, queryCount, weightStride(dtype)], dtype: dtype) : nil)
  }

  func plane(_ bias: Tensor?, _ head: Int) -> UnsafeMutablePointer<Float>? {
    bias.map { $0.pointer + head * tokens * tokens }
  }

  /// Where the rows of a bias, or of its gradient, are for the queries from one on: a kernel counts them from there.
  ///
  /// - Parameters:
  ///   - query: The query's number in the batch.
  ///   - row: Its number in its sample.
  func biasRows(
    _ plane: UnsafeMutablePointer<Float>?, _ positions: UnsafePointer<Int32>?, of query: Int,
    inSample row: Int
  ) -> (matrix: UnsafeMutablePointer<Float>?, positions: UnsafePointer<Int32>?) {
    if let positions { return (plane, positions + query) }
    return (plane.map { $0 + row * tokens }, nil)
  }

  func withPositions(_ body: (UnsafePointer<Int32>?) -> Void) {
    guard let positions else { return body(nil) }
    positions.withUnsafeBufferPointer { body($0.baseAddress) }
  }

  /// Into how many groups the samples of a head fall, which go one after another where they add into the same bias
  /// gradient: as few as give every thread of a rank some work, whatever the number of threads, so that the sums are the
  /// same on any.
  var sampleGroups: Int { max(1, min(queries.count, (48 + heads - 1) / heads)) }

  /// Adds up the gradients of a bias that groups of samples gave, [groups, heads, N, N].
  func addBiasGradient(_ biasGradient: Tensor, to bias: Tensor) {
    let groups = biasGradient.shape[0]
    let size = heads * tokens * tokens
    ThreadPool.current.forEachRange(of: size, grain: 1 << 14) { range in
      for group in 1..<max(groups, 1) {
        peco_add_in_place(
          biasGradient.pointer + range.lowerBound, biasGradient.pointer + group * size + range.lowerBound,
          range.count)
      }
    }
    bias.addGradient(
      groups == 1 ? biasGradient.reshaped(bias.shape) : biasGradient.view(at: 0, shape: bias.shape))
  }
}
