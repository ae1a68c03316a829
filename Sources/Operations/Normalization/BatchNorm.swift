import CKernels
@_spi(TensorMemory) import Tensors

/// Batch normalization of the columns of a matrix over the batch of all ranks, as PyTorch's `batch_norm` and
/// `SyncBatchNorm` (Ioffe and Szegedy, 1502.03167): [rows, channels], of the same shape.
///
/// - Parameters:
///   - x: This rank's rows of the batch, [rows, channels].
///   - runningMean: Moving average of the means, [channels].
///   - runningVariance: Moving average of the variances with Bessel's correction, [channels].
///   - weight: Factor of each channel, [channels]; nil for one.
///   - bias: Offset of each channel, [channels]; nil for none.
///   - mode: In training the batch's statistics are used, and enter the moving averages; in evaluation these are used.
///   - momentum: Share of a batch in the moving averages.
///   - epsilon: Added to the variance.
///   - ranks: Who has the rest of the batch; nil where there is no rest.
public func batchNorm(
  _ x: Tensor, runningMean: Parameter, runningVariance: Parameter, weight: Parameter?, bias: Parameter?,
  mode: Mode, momentum: Double, epsilon: Double, over ranks: (any RankExchange)? = nil
) -> Tensor {
  let channels = runningMean.count
  precondition(x.shape.count == 2 && x.shape[1] == channels, "\(runningMean.name) and shape \(x.shape)")
  let rows = x.shape[0]
  let batch = mode == .training ? BatchStatistics(of: x, over: ranks) : nil
  batch?.enter(runningMean.value, runningVariance.value, momentum: momentum)
  let map = NormalizingMap(
    mean: batch?.mean ?? runningMean.value.elements.map(Double.init),
    variance: batch?.variance ?? runningVariance.value.elements.map(Double.init),
    weight: weight, bias: bias, epsilon: epsilon)
  let y = Tensor(uninitialized: x.shape)
  ThreadPool.current.forEachRange(of: rows, grain: rowGrain(channels)) { range in
    let start = range.lowerBound * channels
    peco_channel_affine(y.pointer + start, x.pointer + start, map.scale, map.offset, range.count, channels)
  }
  let parameters = [weight, bias].compactMap { $0 }
  return Tape.record(y, from: [x], parameters: parameters) { dy in
    // Σ dy and Σ dy x̂ of this rank: the gradients of bias and weight, which ranks sum later.
    let sums = DoubleSum(count: 2 * channels)
    forEachColumns(channels) { columns in
      let c = columns.lowerBound
      peco_batch_norm_sums(
        x.pointer + c, dy.pointer + c, map.factor + c, map.shift + c, channels, rows, columns.count,
        sums.pointer + c, sums.pointer + channels + c)
    }
    for channel in 0..<channels {
      bias?.gradient?.pointer[channel] += Float(sums.pointer[channel])
      weight?.gradient?.pointer[channel] += Float(sums.pointer[channels + channel])
    }
    guard x.needsGradient else { return }
    if let batch {
      ranks?.sum(sums)
      map.subtract(sums.pointer, over: batch.rows)
    }
    let dx = Tensor(uninitialized: x.shape)
    ThreadPool.current.forEachRange(of: rows, grain: rowGrain(channels)) { range in
      let start = range.lowerBound * channels
      peco_group_norm_backward(
        dx.pointer + start, x.pointer + start, dy.pointer + start, map.scale, map.slope, map.constant,
        range.count, channels)
    }
    x.addGradient(dx)
  }
}

/// What is known about the columns of a batch.
private struct BatchStatistics {
  /// Rows of all ranks.
  let rows: Double
  let mean: [Double]
  /// Without Bessel's correction.
  let variance: [Double]

  /// Mean and variance of each column over the rows of all ranks.
  init(of x: Tensor, over ranks: (any RankExchange)?) {
    let (rows, channels) = (x.shape[0], x.shape[1])
    let sums = DoubleSum(count: 2 * channels + 1)
    forEachColumns(channels) { columns in
      let c = columns.lowerBound
      peco_batch_norm_moments(
        x.pointer + c, channels, rows, columns.count, sums.pointer + c, sums.pointer + channels + c)
    }
    sums.pointer[2 * channels] = Double(rows)
    ranks?.sum(sums)
    let total = sums.pointer[2 * channels]
    let mean = (0..<channels).map { sums.pointer[$0] / total }
    variance = (0..<channels).map { channel in
      let square = sums.pointer[channels + channel] / total - mean[channel] * mean[channel]
      // The comparison is false for what is not a number, which must stay.
      return square < 0 ? 0 : square
    }
    self.mean = mean
    self.rows = total
  }

  /// Enters the batch into the moving averages.
  func enter(_ runningMean: Tensor, _ runningVariance: Tensor, momentum: Double) {
    let (means, variances) = (runningMean.pointer, runningVariance.pointer)
    let correction = rows > 1 ? rows / (rows - 1) : 1
    for channel in mean.indices {
      means[channel] = movedAverage(means[channel], toward: mean[channel], momentum: 1 - momentum)
      variances[channel] = movedAverage(
        variances[channel], toward: variance[channel] * correction, momentum: 1 - momentum)
    }
  }
}

/// The affine map that normalizes each column, x̂ = factor · x + shift and y = scale · x + offset, and that of its
/// gradient, dx = scale · dy + slope · x + constant.
private final class NormalizingMap {
  private let memory: Tensor
  private let channels: Int
  private let inverse: [Double]
  private let weights: [Double]
  private let mean: [Double]

  var factor: UnsafeMutablePointer<Float> { memory.pointer }
  var shift: UnsafeMutablePointer<Float> { memory.pointer + channels }
  var scale: UnsafeMutablePointer<Float> { memory.pointer + 2 * channels }
  var offset: UnsafeMutablePointer<Float> { memory.pointer + 3 * channels }
  var slope: UnsafeMutablePointer<Float> { memory.pointer + 4 * channels }
  var constant: UnsafeMutablePointer<Float> { memory.pointer + 5 * channels }

  init(mean: [Double], variance: [Double], weight: Parameter?, bias: Parameter?, epsilon: Double) {
    channels = mean.count
    memory = Tensor([6, channels])
    self.mean = mean
    inverse = variance.map { 1 / ($0 + epsilon).squareRoot() }
    weights = weight?.value.elements.map(Double.init) ?? [Double](repeating: 1, count: channels)
    for c in 0..<channels {
      let bias = bias.map { Double($0.value.pointer[c]) } ?? 0
      factor[c] = Float(inverse[c])
      shift[c] = Float(-mean[c] * inverse[c])
      scale[c] = Float(weights[c] * inverse[c])
      offset[c] = Float(bias - mean[c] * weights[c] * inverse[c])
    }
  }

  /// Takes what the batch's mean and variance owe to each input into the gradient: `sums` are Σ dy and Σ dy x̂ over the
  /// `rows` of all ranks.
  func subtract(_ sums: UnsafePointer<Double>, over rows: Double) {
    for c in 0..<channels {
      let scale = weights[c] * inverse[c] / rows
      slope[c] = Float(-scale * sums[channels + c] * inverse[c])
      constant[c] = Float(scale * (sums[channels + c] * inverse[c] * mean[c] - sums[c]))
    }
  }
}

/// Cuts columns among the threads: each adds its own up over all rows, whatever the number of threads.
private func forEachColumns(_ count: Int, _ body: (Range<Int>) -> Void) {
  ThreadPool.current.forEachRange(of: count, grain: 64, body)
}
