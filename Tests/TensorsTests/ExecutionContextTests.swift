import Foundation
import Tensors
import Testing
import Threads

@Suite struct ExecutionContextTests {
  private struct Refusal: Error {}

  @Test func runGivesWhatTheBodyGivesInTheContext() throws {
    let context = try ExecutionContext(threads: 2)
    let (isCurrent, sum) = try context.run {
      (ExecutionContext.current === context, Tensor([3], filledWith: 2).elements.reduce(0, +))
    }
    #expect(isCurrent && sum == 6)
    #expect(ExecutionContext.current !== context)
  }

  @Test func runThrowsWhatTheBodyThrows() throws {
    let context = ExecutionContext()
    #expect(throws: Refusal.self) { try context.run { throw Refusal() } }
    #expect(try context.run { 1 } == 1)
  }

  @Test func memoryThatIsRefusedIsAnErrorOfTheRun() throws {
    let context = try ExecutionContext(threads: 1, memoryLimit: 10 << 20)
    let passed = Cancellation()
    let error = try #require(throws: ExecutionError.self) {
      try context.run {
        let small = Tensor([1 << 20])
        _ = Tensor(uninitialized: [2 << 20])
        passed.cancel(signal: Int32(small.count))
      }
    }
    #expect(error.description.contains("8 MiB more were needed beside 4 MiB in use"))
    #expect(!passed.isCancelled)
  }

  @Test func memoryThatIsRefusedToAnotherThreadIsAnErrorOfTheRun() throws {
    let context = try ExecutionContext(threads: 3, memoryLimit: 10 << 20)
    #expect(throws: ExecutionError.self) {
      try context.run {
        let lock = NSLock()
        var tensors: [Tensor] = []
        context.threads.forEach(3) { _ in
          let tensor = Tensor(uninitialized: [1 << 20])
          lock.withLock { tensors.append(tensor) }
        }
      }
    }
  }

  @Test func memoryOfOtherSizesIsGivenBackBeforeAnythingIsRefused() throws {
    let context = try ExecutionContext(threads: 1, memoryLimit: 10 << 20)
    try context.run {
      for count in [1 << 19, 1 << 20, 2 << 20] { _ = Tensor(uninitialized: [count]).count }
    }
    #expect(context.memory.usage.inUse == 0)
  }

  @Test func contextsShareNothing() throws {
    let contexts = [ExecutionContext(), ExecutionContext()]
    let tensor = try contexts[0].run { Tensor([1 << 20]) }
    #expect(contexts[0].memory.usage.inUse == 4 << 20)
    #expect(contexts[1].memory.usage.inUse == 0)
    // Memory goes back where it came from, whoever lets go.
    try contexts[1].run { _ = tensor.copy() }
    #expect(contexts[1].memory.usage.peak == 4 << 20)
    contexts[1].cancellation.cancel()
    #expect(contexts[1].cancellation.isCancelled && !contexts[0].cancellation.isCancelled)
  }

  @Test func tasksOfAnOperationAreInTheContextOfItsCaller() throws {
    let context = try ExecutionContext(threads: 3)
    let isElsewhere = Cancellation()
    try context.run {
      for _ in 0..<100 {
        context.threads.forEach(8) { _ in
          if ExecutionContext.current !== context { isElsewhere.cancel() }
        }
      }
    }
    #expect(!isElsewhere.isCancelled)
  }
}
