import Communication
import Operations
import Tensors

/// What operations ask of the other ranks while forward and backward run, over a communicator of their own: another
/// thread reduces gradients at the same time.
///
/// The first error is kept for `check`, since backward cannot throw; nothing is sent after it.
public final class CommunicatorExchange: RankExchange {
  private let communicator: Communicator
  private var failure: (any Error)?

  public var rank: Int { communicator.rank }
  public var ranks: Int { communicator.size }

  /// Collective.
  public init(_ communicator: Communicator) throws {
    self.communicator = try communicator.duplicate()
  }

  deinit { communicator.finish() }

  /// Throws the first error since the beginning.
  public func check() throws {
    if let failure { throw failure }
  }

  public func sum(_ values: DoubleSum) {
    keepingError { try communicator.allReduce(.sum, values) }
  }

  public func gather(_ rows: Tensor) -> Tensor {
    guard ranks > 1 else { return rows }
    let all = Tensor([ranks * rows.shape[0]] + rows.shape.dropFirst())
    keepingError { try communicator.allGather(rows, into: all) }
    return all
  }

  /// On how many ranks a condition holds.
  public func ranks(where isMet: Bool) -> Int {
    var count = isMet ? 1.0 : 0
    keepingError { try communicator.allReduce(.sum, &count, count: 1) }
    return Int(count)
  }

  private func keepingError(_ body: () throws -> Void) {
    guard failure == nil else { return }
    do { try body() } catch { failure = error }
  }
}
