import CKernels
import Foundation
@_spi(TensorMemory) import Tensors

/// An update by Adam (Kingma and Ba, 1412.6980) or AdamW (Loshchilov and Hutter, 1711.05101).
public struct AdamStep {
  /// What weight decay acts on.
  public enum Decay: Sendable {
    /// The gradient, as in Adam.
    case gradient
    /// The value, as in AdamW.
    case value
  }

  /// Elements that one learning rate and one weight decay apply to.
  public struct Segment: Sendable {
    public var range: Range<Int>
    public var learningRate: Double
    public var weightDecay: Double

    public init(_ range: Range<Int>, learningRate: Double, weightDecay: Double) {
      (self.range, self.learningRate, self.weightDecay) = (range, learningRate, weightDecay)
    }
  }

  public var decay: Decay
  /// How much of the two moments a step keeps.
  public var betas: (first: Double, second: Double)
  /// What is added to the root of the second moment.
  public var epsilon: Double
  /// The number of this update, from 1: moments that started at zero are corrected by it.
  public var update: Int
  /// What gradients are multiplied by first.
  public var gradientScale: Double
  /// Whether gradients are set to zero in the same pass.
  public var zeroGradients: Bool

  public init(
    decay: Decay, betas: (first: Double, second: Double), epsilon: Double, update: Int,
    gradientScale: Double = 1, zeroGradients: Bool = true
  ) {
    (self.decay, self.betas, self.epsilon, self.update) = (decay, betas, epsilon, update)
    (self.gradientScale, self.zeroGradients) = (gradientScale, zeroGradients)
  }
}

/// Elements a thread takes at a time.
private let block = 1 << 16

/// Makes one update, in place, in one pass over four tensors of one size. The arithmetic is that of `torch.optim.Adam`
/// and `torch.optim.AdamW`.
///
/// - Parameters:
///   - step: The kind of the update, its constants and its number.
///   - values: The parameters.
///   - gradients: Those of the parameters.
///   - firstMoment: The moving average of the gradients.
///   - secondMoment: The moving average of the gradients' squares.
///   - segments: What is updated; ranges do not overlap.
public func adamStep(
  _ step: AdamStep, values: Tensor, gradients: Tensor, firstMoment: Tensor, secondMoment: Tensor,
  segments: [AdamStep.Segment]
) {
  precondition(
    [gradients, firstMoment, secondMoment].allSatisfy { $0.count == values.count }
      && segments.allSatisfy { $0.range.lowerBound >= 0 && $0.range.upperBound <= values.count },
    "values, gradients and moments of one size, and segments within them")
  let firstCorrection = 1 - pow(step.betas.first, Double(step.update))
  let secondCorrection = 1 - pow(step.betas.second, Double(step.update))
  let blocks = segments.flatMap { segment in
    stride(from: segment.range.lowerBound, to: segment.range.upperBound, by: block).map { start in
      (segment: segment, range: start..<min(start + block, segment.range.upperBound))
    }
  }
  ThreadPool.current.forEach(blocks.count) { index in
    let (segment, range) = blocks[index]
    var kernel = peco_adam_step(
      gradient_scale: Float(step.gradientScale),
      coupled_decay: step.decay == .gradient ? Float(segment.weightDecay) : 0,
      value_scale: step.decay == .value ? Float(1 - segment.learningRate * segment.weightDecay) : 1,
      first_weight: Float(1 - step.betas.first), second_weight: Float(1 - step.betas.second),
      beta2: Float(step.betas.second), step_size: Float(segment.learningRate / firstCorrection),
      second_scale: Float(1 / secondCorrection.squareRoot()), epsilon: Float(step.epsilon),
      zero_gradient: step.zeroGradients ? 1 : 0)
    let start = range.lowerBound
    peco_adam(
      values.pointer + start, gradients.pointer + start, firstMoment.pointer + start,
      secondMoment.pointer + start, range.count, &kernel)
  }
}
