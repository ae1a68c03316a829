import Communication
import Testing

@Suite("One process on its own")
struct CommunicatorTests {
  let alone = Communicator()

  @Test("is rank 0 of 1 and its collectives give back its own values")
  func collectives() throws {
    #expect(try Communicator.start(environment: [:]).size == 1)
    #expect((alone.rank, alone.size, alone.localRank, alone.localSize) == (0, 1, 0, 1))
    #expect(alone.isRoot && !alone.hostname.isEmpty)
    #expect(try alone.allReduce(.sum, [1, 2, 3] as [Float]) == [1, 2, 3])
    #expect(try alone.allReduce(.max, Int64(-4)) == -4)
    #expect(try alone.broadcast("hello") == "hello")
    #expect(try alone.broadcast(bytes: [1, 2]) == [1, 2])
    #expect(try alone.allGather("here") == ["here"])
    #expect(try alone.allGather(7) == [7])
    #expect(try alone.gather("here") == ["here"])
    try alone.barrier()
    try alone.duplicate().finish()
    alone.finish()
    alone.finish()
    #expect(Communicator.libraryVersion.contains("MPI"))
  }

  @Test("agrees with itself, and throws its own error as it is")
  func agreement() throws {
    struct Own: Error {}
    #expect(try alone.agree { 5 } == 5)
    #expect(throws: Own.self) { try alone.agree { throw Own() } }
    try alone.checkEqual(checksum: 1, what: "the weights")
  }

  @Test("errors name rank and host where they are known")
  func errorWording() {
    #expect("\(CommunicationError("no luck"))" == "no luck")
    #expect("\(CommunicationError("no luck", rank: 3, host: "node7"))" == "rank 3 on node7: no luck")
  }
}
