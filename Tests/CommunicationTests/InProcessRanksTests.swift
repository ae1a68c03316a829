import Communication
import Foundation
import Testing

@Suite("In-process ranks", .timeLimit(.minutes(1)))
struct InProcessRanksTests {
  struct Broken: Error, Equatable { var rank: Int }

  @Test("have their places", arguments: 1...4)
  func places(size: Int) throws {
    let places = try InProcessRanks.run(size) { [$0.rank, $0.size, $0.localRank, $0.localSize] }
    #expect(places == (0..<size).map { [$0, size, $0, size] })
  }

  @Test("reduce in rank order, to the same bits everywhere", arguments: 1...4)
  func reductions(size: Int) throws {
    @Sendable func values(_ rank: Int) -> [Float] { (0..<1001).map { 1 / Float($0 + 3 * rank + 1) } }
    let sums = try InProcessRanks.run(size) { try $0.allReduce(.sum, values($0.rank)) }
    let expected = (1..<size).reduce(values(0)) { sum, rank in zip(sum, values(rank)).map { $0 + $1 } }
    #expect(sums.allSatisfy { $0 == expected })
    let extremes = try InProcessRanks.run(size) {
      [try $0.allReduce(.max, Double($0.rank)), try $0.allReduce(.min, Double($0.rank))]
    }
    #expect(extremes.allSatisfy { $0 == [Double(size - 1), 0] })
    let integers = try InProcessRanks.run(size) { try $0.allReduce(.sum, Int64($0.rank + 1)) }
    #expect(integers.allSatisfy { $0 == Int64(size * (size + 1) / 2) })
    #expect(try InProcessRanks.run(size) { try $0.allReduce(.sum, [Float]()) }.allSatisfy(\.isEmpty))
  }

  @Test("broadcast and gather values of any length", arguments: 1...4)
  func gathers(size: Int) throws {
    let last = size - 1
    let words = (0..<size).map { String(repeating: "é", count: $0) }
    let strings = try InProcessRanks.run(size) { ranks in
      try ranks.broadcast(ranks.rank == last ? "Wörter 🙂" : "", from: last)
    }
    #expect(strings.allSatisfy { $0 == "Wörter 🙂" })
    #expect(
      try InProcessRanks.run(size) { try $0.broadcast(bytes: $0.isRoot ? [] : [1]) }.allSatisfy(\.isEmpty))
    #expect(try InProcessRanks.run(size) { try $0.allGather(words[$0.rank]) }.allSatisfy { $0 == words })
    let gathered = try InProcessRanks.run(size) { try $0.gather(words[$0.rank], to: last) }
    #expect(gathered == (0..<size).map { $0 == last ? words : nil })
    let rows = try InProcessRanks.run(size) { ranks in
      var all = [Float](repeating: -1, count: 2 * size)
      try ranks.allGather([Float(ranks.rank), 7], count: 2, into: &all)
      return all
    }
    #expect(rows.allSatisfy { $0 == (0..<size).flatMap { [Float($0), 7] } })
  }

  @Test("agree on one rank's error, and name a rank whose checksum differs")
  func agreement() throws {
    let error = #expect(throws: AgreedError.self) {
      try InProcessRanks.run(3) { ranks in
        try ranks.agree { if ranks.rank == 1 { throw Broken(rank: 1) } }
      }
    }
    #expect(error?.rank == 1)
    let different = #expect(throws: AgreedError.self) {
      try InProcessRanks.run(3) { try $0.checkEqual(checksum: $0.rank == 2 ? 1 : 7, what: "the weights") }
    }
    #expect(different?.rank == 2)
  }

  @Test("have what rank 0 reads, and its error") func reading() throws {
    let read = try InProcessRanks.run(3) { ranks in
      try ranks.readOnRoot { () -> [String: Float?] in
        guard ranks.isRoot else { throw Broken(rank: ranks.rank) }
        return ["größer": 0.1, "none": nil]
      }
    }
    #expect(read == Array(repeating: ["größer": 0.1, "none": nil], count: 3))
    let error = #expect(throws: AgreedError.self) {
      try InProcessRanks.run(3) { ranks in
        try ranks.readOnRoot { () -> String in throw Broken(rank: ranks.rank) }
      }
    }
    #expect(error?.rank == 0)
  }

  @Test("are released where one throws, and the error is that rank's", arguments: 0..<3)
  func failure(rank: Int) throws {
    let error = #expect(throws: Broken.self) {
      try InProcessRanks.run(3) { ranks in
        if ranks.rank == rank { throw Broken(rank: rank) }
        try ranks.barrier()
      }
    }
    #expect(error == Broken(rank: rank))
  }

  @Test("are released where one fails for good, and the process goes on")
  func fail() {
    #expect(throws: Broken.self) {
      try InProcessRanks.run(2) { ranks in
        if ranks.isRoot { ranks.fail(Broken(rank: 0)) }
        _ = try ranks.allReduce(.sum, Float(1))
      }
    }
    #expect(throws: CommunicationError.self) {
      try InProcessRanks.run(2) { ranks in
        if ranks.isRoot { ranks.abort(3) }
        try ranks.barrier()
      }
    }
  }

  @Test("are released where one returns early or makes another call")
  func mismatch() {
    #expect(throws: AbandonedCollectiveError.self) {
      try InProcessRanks.run(2) { if $0.isRoot { try $0.barrier() } }
    }
    #expect(throws: CommunicationError.self) {
      try InProcessRanks.run(2) { ranks in
        _ = try ranks.allReduce(.sum, [Float](repeating: 1, count: ranks.rank + 1))
      }
    }
    #expect(throws: CommunicationError.self) {
      try InProcessRanks.run(2) { ranks in
        if ranks.isRoot { try ranks.barrier() } else { _ = try ranks.allReduce(.sum, Float(1)) }
      }
    }
  }

  @Test("sum gradients while the main thread communicates too", arguments: 1...4)
  func reducer(size: Int) throws {
    let (parameters, width) = (9, 50)
    let results = try InProcessRanks.run(size) { ranks in
      var gradients = [Float](repeating: 0, count: parameters * width)
      var beside: [Float] = []
      try gradients.withUnsafeMutableBufferPointer { buffer in
        guard let base = buffer.baseAddress else { return }
        let reducer = try GradientReducer(
          communicator: ranks, gradients: base, count: buffer.count,
          parameters: (0..<parameters).map { $0 * width..<($0 + 1) * width }, bucketBytes: 600)
        defer { reducer.close() }
        for step in 0..<3 {
          reducer.begin()
          for index in buffer.indices { buffer[index] = 1 / Float(index + ranks.rank + step + 1) }
          // Each rank finishes in another order, and leaves one parameter out.
          for parameter in 1..<parameters { reducer.ready((parameter + ranks.rank) % parameters) }
          beside.append(try ranks.allReduce(.sum, Float(step)))
          try reducer.finish()
        }
      }
      return gradients + beside
    }
    let sums: [Float] = (0..<parameters * width).map { index in
      var sum: Float = 0
      for rank in 0..<size {
        let value: Float = 1 / Float(index + rank + 3)
        sum = rank == 0 ? value : sum + value
      }
      return sum
    }
    let beside: [Float] = [0, Float(size), Float(2 * size)]
    #expect(results.allSatisfy { $0 == sums + beside })
  }

  @Test("a rank that throws within a step releases the reducers of the others")
  func abandonedStep() {
    #expect(throws: Broken.self) {
      try InProcessRanks.run(3) { ranks in
        let gradients = UnsafeMutablePointer<Float>.allocate(capacity: 20)
        defer { gradients.deallocate() }
        gradients.initialize(repeating: 1, count: 20)
        let reducer = try GradientReducer(
          communicator: ranks, gradients: gradients, count: 20, parameters: [0..<10, 10..<20],
          bucketBytes: 40)
        defer { reducer.close() }
        reducer.begin()
        if ranks.rank == 2 { throw Broken(rank: 2) }
        try reducer.finish()
      }
    }
  }
}
