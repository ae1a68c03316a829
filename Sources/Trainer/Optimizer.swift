import Configuration
import Operations
import Tensors

extension Parameter {
  /// Whether weight decay applies: to weights, and not to biases, norms, layer scale, tokens, positions and codebooks.
  public var isDecayed: Bool { role == .weight }
}

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

  private let betas: (first: Double, second: Double)
  private let epsilon: Double
  private let segments: [Segment]

  /// A stretch of the flat buffers whose elements are updated alike.
  private struct Segment {
    var range: Range<Int>
    let isDecayed: Bool
    let learningRateScale: Double
  }

  /// An optimizer whose moments are zero.
  ///
  /// - Parameters:
  ///   - flat: What is optimized.
  ///   - configuration: The optimizer and its constants.
  ///   - learningRateScale: What a parameter's learning rate is multiplied by (layer decay).
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
    self.segments = segments
  }

  /// Both moments of the parameter that lies in a range of the flat buffers.
  func moments(in range: Range<Int>) -> (first: Tensor, second: Tensor) {
    (
      firstMoment.view(at: range.lowerBound, shape: [range.count]),
      secondMoment.view(at: range.lowerBound, shape: [range.count])
    )
  }

  /// Makes one step.
  ///
  /// - Parameters:
  ///   - learningRate: The learning rate of this step.
  ///   - weightDecay: The weight decay of this step, for the parameters that decay.
  ///   - gradientScale: What gradients are multiplied by first (`GradientNorm.clipFactor`).
  ///   - zeroGradients: Whether they are set to zero in the same pass, ready for the next step.
  public func update(
    learningRate: Double, weightDecay: Double, gradientScale: Double = 1, zeroGradients: Bool = true
  ) {
    updates += 1
    let step = AdamStep(
      decay: name == .adam ? .gradient : .value, betas: betas, epsilon: epsilon, update: updates,
      gradientScale: gradientScale, zeroGradients: zeroGradients)
    adamStep(
      step, values: flat.values, gradients: flat.gradients, firstMoment: firstMoment,
      secondMoment: secondMoment,
      segments: segments.map {
        AdamStep.Segment(
          $0.range, learningRate: learningRate * $0.learningRateScale,
          weightDecay: $0.isDecayed ? weightDecay : 0)
      })
  }
}
