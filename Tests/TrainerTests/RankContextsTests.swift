import Communication
import Tensors
import Testing
import Trainer

@Suite struct RankContextsTests {
  @Test func eachRankHasItsOwn() throws {
    let contexts = try InProcessRanks.run(3, threads: 2) { communicator in
      let context = ExecutionContext.current
      try communicator.barrier()
      // Held until all have theirs, so that no address is used twice.
      return (context, context.threads.threadCount)
    }
    #expect(Set(contexts.map { ObjectIdentifier($0.0) }).count == 3)
    #expect(contexts.allSatisfy { $0.1 == 2 && $0.0 !== ExecutionContext.current })
  }

  @Test func memoryThatOneRankIsRefusedEndsAll() {
    let error = #expect(throws: (any Error).self) {
      _ = try InProcessRanks.run(2, threads: 1, memoryLimit: 1 << 20) { communicator in
        if communicator.rank == 1 { _ = Tensor([1 << 20]) }
        try communicator.barrier()
      }
    }
    #expect(error.map { "\($0)".contains("memory") } == true, "\(String(describing: error))")
  }
}
