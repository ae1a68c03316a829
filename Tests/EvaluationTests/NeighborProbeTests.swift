import Communication
import Evaluation
import Foundation
import Operations
import Tensors
import TestSupport
import Testing

@Suite struct NeighborProbeTests {
  private func classes(
    of queries: Tensor, _ bank: Tensor, _ labels: [Int32], neighbors: Int, temperature: Double, classes: Int
  ) throws -> [Int32] {
    var probe = NeighborProbe()
    (probe.k, probe.temperature) = (neighbors, temperature)
    let votes = try probe.votes(
      for: queries, neighbors: bank, labels: labels, classes: classes, communicator: Communicator())
    return (0..<queries.shape[0]).map { row in
      let own = votes[row: row].elements
      return Int32(own.indices.max { (own[$0], $1) < (own[$1], $0) } ?? -1)
    }
  }

  /// The rule, written out: all similarities, sorted; the nearest vote.
  private func reference(
    _ queries: Tensor, _ bank: Tensor, _ labels: [Int32], neighbors: Int, temperature: Double
  ) -> [Int32] {
    let width = bank.shape[1]
    return (0..<queries.shape[0]).map { row in
      let similarities = (0..<bank.shape[0]).map { place in
        (0..<width).reduce(0.0) {
          $0 + Double(queries[row * width + $1]) * Double(bank[place * width + $1])
        }
      }
      var votes: [Int32: Double] = [:]
      for place in similarities.indices.sorted(by: { similarities[$0] > similarities[$1] })[..<neighbors] {
        votes[labels[place], default: 0] += exp(similarities[place] / temperature)
      }
      return votes.sorted { ($1.value, $0.key) < ($0.value, $1.key) }[0].key
    }
  }

  @Test(arguments: [1, 5, 20])
  func theNearestVoteByTheirSimilarity(neighbors: Int) throws {
    let bank = unitChannels(randomTensor([300, 8], seed: 1))
    let queries = unitChannels(randomTensor([70, 8], seed: 2))
    var stream = RandomStream(seed: 3, purpose: .test)
    let labels = (0..<300).map { _ in Int32(stream.integer(below: 4)) }
    let expected = reference(queries, bank, labels, neighbors: neighbors, temperature: 0.07)
    #expect(
      try classes(of: queries, bank, labels, neighbors: neighbors, temperature: 0.07, classes: 4)
        == expected)
    #expect(Set(expected).count == 4)
  }

  @Test func nearerNeighborsOutvoteMoreOfThem() throws {
    let near: [Float] = [1, 0]
    let far: [Float] = [0.6, 0.8]
    let bank = Tensor(near + far + far, shape: [3, 2])
    let query = Tensor(near, shape: [1, 2])
    let labels: [Int32] = [0, 1, 1]
    #expect(try classes(of: query, bank, labels, neighbors: 3, temperature: 0.07, classes: 2) == [0])
    #expect(try classes(of: query, bank, labels, neighbors: 3, temperature: 100, classes: 2) == [1])
    // The nearest alone counts, though its weight by itself would be greater than any float.
    #expect(try classes(of: query, bank, [1, 0, 0], neighbors: 3, temperature: 0.001, classes: 2) == [1])
  }
}
