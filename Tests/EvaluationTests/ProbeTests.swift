import Communication
import Evaluation
import Tensors
import TestSupport
import Testing

/// Linear classifiers and neighbors against PyTorch's.
@Suite struct ProbeTests {
  @Test(arguments: ["0.1", "0.001"]) func theRegressionIsPyTorchs(penalty: String) throws {
    let fixture = try FixtureFile("probe.h5")
    let regression = try SoftmaxRegression(
      features: try fixture.tensor("features"), labels: try fixture.integers("labels").map { Int32($0) },
      classes: 4, communicator: Communicator())
    let (weights, isMinimum) = try regression.fit(penalty: try #require(Double(penalty)))
    #expect(isMinimum)
    let logits = SoftmaxRegression.logits(try fixture.tensor("asked"), weights, classes: 4)
    // What is added to all logits of a row changes nothing, and is not determined for biases.
    for row in 0..<logits.shape[0] {
      let mean = logits[row: row].elements.reduce(0, +) / 4
      for label in 0..<4 { logits[4 * row + label] -= mean }
    }
    // A weak penalty leaves a flat valley, which floats see the bottom of to three digits.
    #expect(relativeError(logits, try fixture["logits"].tensor(penalty)) < 1e-2)
  }

  @Test func aSearchThatEndsBeforeTheMinimumSaysSo() throws {
    let fixture = try FixtureFile("probe.h5")
    var regression = try SoftmaxRegression(
      features: try fixture.tensor("features"), labels: try fixture.integers("labels").map { Int32($0) },
      classes: 4, communicator: Communicator())
    let whole = try regression.fit(penalty: 0.1)
    regression.mostIterations = 2
    let cut = try regression.fit(penalty: 0.1)
    #expect(whole.isMinimum && !cut.isMinimum && cut.weights != whole.weights)
    regression.mostIterations = 200
    #expect(try regression.fit(penalty: 0.1, from: cut.weights).isMinimum)
  }

  @Test func neighborsVoteAsInPyTorch() throws {
    let fixture = try FixtureFile("probe.h5")
    let votes = try NeighborProbe().votes(
      for: try fixture.tensor("asked"), neighbors: try fixture.tensor("features"),
      labels: try fixture.integers("labels").map { Int32($0) }, classes: 4, communicator: Communicator())
    let expected = try fixture.tensor("votes")
    for row in 0..<expected.shape[0] {
      let own = Array(expected.elements[row * 4..<row * 4 + 4])
      let sum = own.reduce(0, +)
      #expect(relativeError(Array(votes.elements[row * 4..<row * 4 + 4]), own.map { $0 / sum }) < 1e-4)
    }
  }
}
