import CKernels
import Configuration
import Foundation
import Layers
import Tensors

/// Adam and AdamW over flat parameters: value, gradient and both moments are four parallel arrays, and one pass
/// over them is a step. The arithmetic is that of `torch.optim.Adam` and `torch.optim.AdamW`.
public final class Optimizer {
  /// The parameters it updates.
  public let flat: FlatParameters
  /// Which rule it follows.
  public let name: OptimizerConfiguration.Name
  /// Moving average of the gradients, laid out as they are.
  public let firstMoment: Tensor
  /// Moving average of their squares.
  public let secondMoment: Tensor
  /// Updates made so far.
  public internal(set) var updates = 0

  private let betas: (Double, Double)
  private let epsilon: Double
  private let segments: [Segment]

  /// A stretch of the flat buffers whose elements are updated alike.
  private struct Segment {
    var range: Range<Int>
    let isDecayed: Bool
    let learningRateScale: Double
  }

  /// Elements a thread takes at a time.
  private static let block = 1 << 16

  /// An optimizer whose moments are zero.
  ///
  /// - Parameter learningRateScale: What a parameter's learning rate is multiplied by (layer decay).
  public init(
    _ flat: FlatParameters, configuration: OptimizerConfiguration,
    learningRateScale: (Parameter) -> Double = { _ in 1 }
  ) {
    self.flat = flat
    name = configuration.name
    betas = (configuration.betas[0], configuration.betas[1])
    epsilon = configuration.epsilon
    firstMoment = Tensor([flat.count])
    secondMoment = Tensor([flat.count])

    var segments: [Segment] = []
    for (index, parameter) in flat.parameters.enumerated() {
      // The gaps between parameters are zero in all four arrays and stay so, whatever is done to them.
      let start = flat.ranges[index].lowerBound
      let end = index + 1 < flat.ranges.count ? flat.ranges[index + 1].lowerBound : flat.count
      let scale = learningRateScale(parameter)
      if let last = segments.last, last.isDecayed == parameter.isDecayed, last.learningRateScale == scale {
        segments[segments.count - 1].range = last.range.lowerBound..<end
      } else {
        segments.append(
          Segment(range: start..<end, isDecayed: parameter.isDecayed, learningRateScale: scale))
      }
    }
    self.segments = segments.flatMap { segment in
      stride(from: segment.range.lowerBound, to: segment.range.upperBound, by: Self.block).map { start in
        Segment(
          range: start..<min(start + Self.block, segment.range.upperBound), isDecayed: segment.isDecayed,
          learningRateScale: segment.learningRateScale)
      }
    }
  }

  /// Makes one step.
  ///
  /// - Parameters:
  ///   - gradientScale: What gradients are multiplied by first (`GradientNorm.clipFactor`).
  ///   - zeroGradients: Whether they are set to zero in the same pass, ready for the next step.
  public func update(
    learningRate: Double, weightDecay: Double, gradientScale: Double = 1, zeroGradients: Bool = true
  ) {
    updates += 1
    let firstCorrection = 1 - pow(betas.0, Double(updates))
    let secondCorrection = 1 - pow(betas.1, Double(updates))
    let (values, gradients) = (flat.values.pointer, flat.gradients.pointer)
    let (first, second) = (firstMoment.pointer, secondMoment.pointer)
    ThreadPool.shared.forEach(segments.count) { index in
      let segment = segments[index]
      let rate = learningRate * segment.learningRateScale
      let decay = segment.isDecayed ? weightDecay : 0
      var step = peco_adam_step(
        gradient_scale: Float(gradientScale),
        coupled_decay: name == .adam ? Float(decay) : 0,
        value_scale: name == .adamw ? Float(1 - rate * decay) : 1,
        first_weight: Float(1 - betas.0), second_weight: Float(1 - betas.1), beta2: Float(betas.1),
        step_size: Float(rate / firstCorrection),
        second_scale: Float(1 / secondCorrection.squareRoot()),
        epsilon: Float(epsilon), zero_gradient: zeroGradients ? 1 : 0)
      let start = segment.range.lowerBound
      peco_adam(
        values + start, gradients + start, first + start, second + start, segment.range.count, &step)
    }
  }
}
