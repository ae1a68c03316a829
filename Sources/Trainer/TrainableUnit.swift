import Datasets
import Operations
import Tensors

/// A named set of parameters that changes by a rule of its own in every step: the model, a discriminator, a momentum
/// encoder, an average of the weights.
public protocol TrainableUnit: AnyObject {
  /// Its name in checkpoints; that of the model is `model`.
  var name: String { get }
  /// Every parameter, trained or state, in the order in which forward uses them.
  var parameters: [Parameter] { get }
}

/// A unit that follows the gradient of a loss of its own, by an optimizer of its own.
public protocol OptimizedUnit: TrainableUnit {
  /// The weight that an image brings to the loss when nothing is ignored. It keeps gradients in range and changes
  /// nothing else.
  var lossWeightPerImage: Double { get }

  /// Whether the unit is trained in a step, counted from 0. The same on every rank.
  func isActive(inStep step: Int) -> Bool

  /// What the learning rate of a parameter is multiplied by.
  func learningRateScale(of parameter: Parameter) -> Double

  /// The loss of a micro-batch, recorded on the tape. Units are asked in the order of `TrainingTask.units`, after the
  /// backward of the one before. In evaluation nothing is dropped or mixed, and nothing learned from the images.
  ///
  /// - Parameters:
  ///   - batch: A micro-batch of this rank.
  ///   - tape: Records the loss; nil where nobody asks for gradients.
  ///   - mode: What the loss is for.
  func loss(of batch: Batch, on tape: Tape?, mode: Mode) throws -> Loss
}

extension OptimizedUnit {
  public var lossWeightPerImage: Double { 1 }
  public func isActive(inStep step: Int) -> Bool { true }
  public func learningRateScale(of parameter: Parameter) -> Double { 1 }
}

/// A unit that is the exponential moving average of other parameters: θ' ← m θ' + (1 − m) θ, in double precision.
public final class AveragedUnit: TrainableUnit {
  /// When the average moves.
  public enum Moment: Sendable {
    /// Before the forward pass of a step, which uses it: a momentum encoder (He et al., 1911.05722).
    case beforeForward
    /// After the optimizer's update: an average of the weights for evaluation (Polyak and Juditsky, 1992).
    case afterUpdate
  }

  public let name: String
  public let parameters: [Parameter]
  let moment: Moment
  private let pairs: [(leader: Parameter, follower: Parameter)]
  private let momentum: (_ step: Int) -> Double

  /// - Parameters:
  ///   - name: Its name in checkpoints.
  ///   - parameters: Everything a checkpoint keeps of the unit.
  ///   - pairs: What is followed, and what follows it.
  ///   - moment: When it follows.
  ///   - momentum: m in a step, counted from 0.
  public init(
    name: String, parameters: [Parameter], pairs: [(leader: Parameter, follower: Parameter)], moment: Moment,
    momentum: @escaping (_ step: Int) -> Double
  ) {
    self.name = name
    self.parameters = parameters
    self.pairs = pairs
    self.moment = moment
    self.momentum = momentum
  }

  /// An average of each of `leaders`, that starts as they are.
  public convenience init(
    name: String, of leaders: [Parameter], moment: Moment, momentum: @escaping (_ step: Int) -> Double
  ) {
    let pairs = leaders.map { leader in
      (
        leader: leader,
        follower: Parameter(
          name: leader.name, kind: .state, role: leader.role, depth: leader.depth,
          value: leader.value.copy())
      )
    }
    self.init(
      name: name, parameters: pairs.map(\.follower), pairs: pairs, moment: moment, momentum: momentum)
  }

  /// Moves the average by a step, counted from 0.
  func follow(inStep step: Int) {
    let momentum = momentum(step)
    for (leader, follower) in pairs {
      moveAverage(follower.value, toward: leader.value, momentum: momentum)
    }
  }

  /// Runs `body` with the averages in the place of what they follow.
  public func exchanged<Result>(_ body: () throws -> Result) rethrows -> Result {
    exchange()
    defer { exchange() }
    return try body()
  }

  private func exchange() {
    for (leader, follower) in pairs {
      let value = leader.value.copy()
      leader.value.copyElements(from: follower.value)
      follower.value.copyElements(from: value)
    }
  }
}
