import Operations
import Tensors

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
    weight = affine ? scope.parameter("weight", [channels], .ones, role: .norm) : nil
    bias = affine ? scope.parameter("bias", [channels], .zeros, role: .norm) : nil
    runningMean = scope.state("running_mean", [channels], .zeros)
    runningVariance = scope.state("running_var", [channels], .ones)
    self.epsilon = epsilon
    self.momentum = momentum
  }

  /// [rows, channels] → [rows, channels], normalized with the batch's statistics in training, and with the moving
  /// averages in evaluation.
  ///
  /// - Parameters:
  ///   - x: This rank's rows of the batch.
  ///   - mode: In training the batch's statistics are used, and enter the moving averages.
  ///   - ranks: Who has the rest of the batch; nil where there is no rest.
  public func callAsFunction(_ x: Tensor, mode: Mode, over ranks: (any RankExchange)? = nil) -> Tensor {
    batchNorm(
      x, runningMean: runningMean, runningVariance: runningVariance, weight: weight, bias: bias,
      mode: mode, momentum: momentum, epsilon: epsilon, over: ranks)
  }
}
