import CKernels
@_spi(TensorMemory) import Tensors

/// Batch normalization of the columns of a matrix (Ioffe and Szegedy, 1502.03167) over the batch of all ranks, as
/// PyTorch's `SyncBatchNorm`.
///
/// Means and variances, and backward's sums, are added up in double precision over all ranks: they are the same however
/// the batch is cut.
public struct BatchNorm1d {
  /// Factor of each channel, [channels]; nil without.
  public let weight: Parameter?
  /// Offset of each channel, [channels]; nil without.
  public let bias: Parameter?
  /// Moving average of the means, [channels].
  public let runningMean: Parameter
  /// Moving average of the variances (with Bessel's correction), [channels].
  public let runningVariance: Parameter
  /// Added to the variance.
  public let epsilon: Double
  /// Share of a batch in the moving averages.
  public let momentum: Double

  /// Makes `weight`, `bias` (unless not `affine`), `running_mean` and `running_var` in `scope`.
  public init(
    _ channels: Int, affine: Bool = true, epsilon: Double = 1e-5, momentum: Double = 0.1,
    in scope: ParameterScope
  ) {
    weight = affine ? scope.parameter("weight", [channels], .ones) : nil
    bias = affine ? scope.parameter("bias", [channels], .zeros) : nil
    runningMean = scope.state("running_mean", [channels], .zeros)
    runningVariance = scope.state("running_var", [channels], .ones)
    self.epsilon = epsilon
    self.momentum = momentum
  }

  /// [rows, channels] → [rows, channels], normalized with the batch's statistics while training, and with the moving
  /// averages otherwise.
  ///
  /// - Parameters:
  ///   - training: Whether the batch's statistics are used, and enter the moving averages.
  ///   - ranks: Who has the rest of the batch; nil where there is no rest.
  public func callAsFunction(_ x: Tensor, training: Bool, over ranks: (any RankExchange)? = nil) -> Tensor {
    let channels = runningMean.count
    precondition(x.shape.count == 2 && x.shape[1] == channels, "\(runningMean.name) and shape \(x.shape)")
    let rows = x.shape[0]
    let batch = training ? batchStatistics(of: x, over: ranks) : nil
    let map = NormalizingMap(self, batch)
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
        ranks?.sum(sums.pointer, count: sums.count)
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
  fileprivate struct BatchStatistics {
    let rows: Double
    let mean: [Double]
    /// Without Bessel's correction.
    let variance: [Double]
  }

  /// Mean and variance of each column over the rows of all ranks; enters them into the moving averages.
  private func batchStatistics(of x: Tensor, over ranks: (any RankExchange)?) -> BatchStatistics {
    let (rows, channels) = (x.shape[0], x.shape[1])
    let sums = DoubleSum(count: 2 * channels + 1)
    forEachColumns(channels) { columns in
      let c = columns.lowerBound
      peco_batch_norm_moments(
        x.pointer + c, channels, rows, columns.count, sums.pointer + c, sums.pointer + channels + c)
    }
    sums.pointer[2 * channels] = Double(rows)
    ranks?.sum(sums.pointer, count: sums.count)
    let total = sums.pointer[2 * channels]
    let mean = (0..<channels).map { sums.pointer[$0] / total }
    let variance = (0..<channels).map { channel in
      let square = sums.pointer[channels + channel] / total - mean[channel] * mean[channel]
      // The comparison is false for what is not a number, which must stay.
      return square < 0 ? 0 : square
    }
    let (means, variances) = (runningMean.value.pointer, runningVariance.value.pointer)
    let correction = total > 1 ? total / (total - 1) : 1
    for channel in 0..<channels {
      means[channel] = Float((1 - momentum) * Double(means[channel]) + momentum * mean[channel])
      variances[channel] = Float(
        (1 - momentum) * Double(variances[channel]) + momentum * variance[channel] * correction)
    }
    return BatchStatistics(rows: total, mean: mean, variance: variance)
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

  init(_ norm: BatchNorm1d, _ batch: BatchNorm1d.BatchStatistics?) {
    channels = norm.runningMean.count
    memory = Tensor([6, channels])
    mean = batch?.mean ?? norm.runningMean.value.elements.map(Double.init)
    let variance = batch?.variance ?? norm.runningVariance.value.elements.map(Double.init)
    inverse = variance.map { 1 / ($0 + norm.epsilon).squareRoot() }
    weights = norm.weight?.value.elements.map(Double.init) ?? [Double](repeating: 1, count: channels)
    for c in 0..<channels {
      let bias = norm.bias.map { Double($0.value.pointer[c]) } ?? 0
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
