import Communication
import Configuration
import Datasets
import Tensors

/// What is trained, and on what loss: the part of a run that differs between the stages.
///
/// The loop calls `loss` for every micro-batch, sums `takeSums` over all ranks at the end of the step, and
/// calls `finishStep` with the result after the optimizer has run.
public protocol Recipe: AnyObject {
  /// Goes into checkpoints, so that one stage's are not taken for another's: the tokenizer or the transformer.
  var kind: RunKind { get }

  /// Every parameter of the model, trained or state, in the order in which forward uses them.
  var parameters: [Parameter] { get }

  /// A model that is trained against this one, if there is any.
  var opponent: (any Opponent)? { get }

  /// The names of the classes that the model tells apart, if it does.
  var classes: [String]? { get }

  /// The mean loss over the images of a micro-batch, recorded on the tape. Without a tape it is the model's loss
  /// as it stands: nothing is dropped, and nothing learned from the images.
  func loss(of batch: Batch, on tape: Tape?) throws -> Tensor

  /// What this rank counted since the last call (correct predictions, summed losses), to be summed over ranks.
  /// Always the same number of values.
  func takeSums() -> [Double]

  /// What the learning rate of a parameter is multiplied by.
  func learningRateScale(of parameter: Parameter) -> Double

  /// Measures the model after a step, where it is time to; goes with the step's metrics. Collective.
  func evaluate(after step: Int, communicator: Communicator) throws -> [(name: String, value: Double)]

  /// Ends a step on every rank, after the optimizer: updates state and turns the sums over all ranks into
  /// metrics, the two that tell most first.
  func finishStep(_ step: Int, sums: [Double], communicator: Communicator) throws -> [(
    name: String, value: Double
  )]
}

extension Recipe {
  public var classes: [String]? { nil }

  public func learningRateScale(of parameter: Parameter) -> Double { 1 }

  public func evaluate(
    after step: Int, communicator: Communicator
  ) throws -> [(name: String, value: Double)] { [] }
}
