import Communication
import Configuration
import Datasets
import Tensors

/// A metric's name and value.
public typealias NamedValue = (name: String, value: Double)

/// What is trained, and on what loss: the part of a run that differs between tasks.
///
/// In every step the trainer asks each optimized unit for its loss of every micro-batch, sums `metrics` over all ranks,
/// runs the optimizers, and calls `finishStep` with the sums.
public protocol TrainingTask: AnyObject {
  /// Name of the task: its checkpoints carry it, so that one task's are not taken for another's.
  static var task: String { get }

  /// The metrics that tell most of its success, first in reports and, below the loss, in the curves of a run.
  static var headlines: [String] { get }

  /// What changes in a step. The first is the model.
  var units: [any TrainableUnit] { get }

  /// What the model is, if it is a vision transformer or a tokenizer: checkpoints carry it, so that it serves
  /// elsewhere.
  var card: Card? { get }

  /// What this rank has gathered in the step.
  var metrics: MetricSums { get set }

  /// Ends a step, counted from 1, on every rank, after the optimizers: updates state, and turns the sums over all ranks
  /// into metrics, the two that say most first.
  func finishStep(_ step: Int, metrics: MetricSums, communicator: Communicator) throws -> [NamedValue]

  /// Measures the model after a step, where it is time to; goes with the step's metrics. Collective.
  func evaluate(after step: Int, communicator: Communicator) throws -> [NamedValue]
}

extension TrainingTask {
  public static var headlines: [String] { [] }

  public var card: Card? { nil }

  public func evaluate(after step: Int, communicator: Communicator) throws -> [NamedValue] { [] }

  /// The parameters of the model.
  public var parameters: [Parameter] { units.first?.parameters ?? [] }
}
