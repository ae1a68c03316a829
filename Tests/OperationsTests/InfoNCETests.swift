import Operations
import Tensors
import TestSupport
import Testing

@Suite struct InfoNCETests {
  init() { useSeveralThreads() }

  @Test func matchesPyTorch() throws {
    let fixture = try FixtureFile("contrastive.h5")["info_nce"]
    let tape = Tape()
    let queries = tape.leaf(try fixture.tensor("queries"))
    let (loss, correct) = infoNCE(queries, keys: try fixture.tensor("keys"), first: 4, temperature: 0.2)
    #expect(relativeError(loss, try fixture.tensor("loss")) < 1e-6)
    #expect(Float(correct) == (try fixture.tensor("correct")).item)
    tape.backward(from: loss)
    #expect(relativeError(queries.gradient, try fixture.tensor("dqueries")) < 2e-6)
  }

  @Test func matchesFiniteDifferences() {
    let keys = randomTensor([40, 24], seed: 2)
    let error = gradientError(of: [randomTensor([16, 24], seed: 1)]) {
      infoNCE($0[0], keys: keys, first: 8, temperature: 0.3).loss
    }
    #expect(error < 1e-2)
  }

  @Test func queriesThatAreTheirKeysAreFound() {
    let keys = randomTensor([32, 16], seed: 1)
    let queries = keys.view(at: 8 * 16, shape: [8, 16])
    let right = infoNCE(queries, keys: keys, first: 8, temperature: 0.05)
    let wrong = infoNCE(queries, keys: keys, first: 0, temperature: 0.05)
    #expect(right.correct == 8 && wrong.correct == 0)
    #expect(right.loss.item < wrong.loss.item / 10)
  }
}
