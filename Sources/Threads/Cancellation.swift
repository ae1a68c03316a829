import Synchronization

/// Tells work that goes on for long that it is to end soon.
///
/// Whoever works asks in between, finishes what must not be left half done, and leaves.
public final class Cancellation: Sendable {
  private let received = Atomic<Int32>(0)

  /// Nothing has been asked for.
  public init() {}

  /// Whether the work is to end.
  public var isCancelled: Bool { received.load(ordering: .relaxed) != 0 }

  /// The number of the signal that asked for the end, -1 where none did; nil while work is to go on.
  public var signal: Int32? {
    let number = received.load(ordering: .relaxed)
    return number == 0 ? nil : number
  }

  /// Asks for the end; safe inside a signal handler. Tells whether it had been asked for before.
  @discardableResult
  public func cancel(signal number: Int32 = -1) -> Bool {
    received.exchange(number, ordering: .relaxed) != 0
  }
}
