import Tensors

/// What an operation asks of the other ranks of a job while it computes. Every rank calls the same in the same order.
///
/// Backward cannot throw: an exchange that fails keeps its error for whoever made it, and returns what it was given.
public protocol RankExchange: AnyObject {
  /// This process's number, from 0.
  var rank: Int { get }
  /// How many processes take part.
  var ranks: Int { get }
  /// Sums values over all ranks, in place.
  func sum(_ values: DoubleSum)
  /// The rows of all ranks, of the same number each, in the order of ranks: [rows, ...] → [ranks · rows, ...].
  func gather(_ rows: Tensor) -> Tensor
}
