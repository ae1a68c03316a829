import Foundation

/// A queue between threads that holds a limited amount: whoever adds waits for room, whoever takes waits for
/// something to take.
///
/// Unchecked: a condition guards everything that changes.
final class BoundedQueue<Element: Sendable>: @unchecked Sendable {
  private let condition = NSCondition()
  private let limit: Int
  private var elements: [(element: Element, cost: Int)] = []
  private var first = 0
  private var held = 0
  private var isClosed = false

  /// `limit` bounds the sum of the costs of what is queued; a single element may exceed it.
  init(limit: Int) { self.limit = limit }

  /// Adds an element; false when the queue was closed, and nobody will take it.
  func add(_ element: Element, cost: Int) -> Bool {
    condition.lock()
    defer { condition.unlock() }
    while held > 0, held + cost > limit, !isClosed { condition.wait() }
    if isClosed { return false }
    elements.append((element, cost))
    held += cost
    condition.broadcast()
    return true
  }

  /// Takes the oldest element; nil once the queue is closed and empty.
  func take() -> Element? {
    condition.lock()
    defer { condition.unlock() }
    while first == elements.count, !isClosed { condition.wait() }
    guard first < elements.count else { return nil }
    let (element, cost) = elements[first]
    first += 1
    held -= cost
    if first >= 256, first * 2 > elements.count {
      elements.removeFirst(first)
      first = 0
    }
    condition.broadcast()
    return element
  }

  /// Says that nothing more will be added; what is queued can still be taken unless `discarding`.
  func close(discarding: Bool = false) {
    condition.lock()
    defer { condition.unlock() }
    isClosed = true
    if discarding {
      elements.removeAll()
      first = 0
      held = 0
    }
    condition.broadcast()
  }
}
