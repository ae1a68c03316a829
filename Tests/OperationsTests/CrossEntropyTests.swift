import Operations
import Tensors
import TestSupport
import Testing

@Suite struct CrossEntropyTests {
  @Test(arguments: [Float(0), 0.1])
  func matchesPyTorch(smoothing: Float) throws {
    let fixture = try FixtureFile("transformer.h5")[
      smoothing == 0 ? "cross_entropy" : "cross_entropy_smoothed"]
    let tape = Tape()
    let logits = tape.leaf(try fixture.tensor("logits"))
    let targets = try fixture.integers("targets").map { Int32($0) }
    let (loss, correct) = crossEntropy(logits, targets, labelSmoothing: smoothing)
    tape.backward(from: loss)
    #expect(relativeError(loss, try fixture.tensor("loss")) <= 1e-6)
    #expect(relativeError(logits.gradient, try fixture.tensor("dlogits")) <= 1e-5)
    #expect(correct == (try fixture.integers("correct"))[0])
  }

  @Test func manyRowsMatchFiniteDifferences() {
    let logits = randomTensor([300, 257], seed: 1)
    let targets = (0..<300).map { Int32($0 * 7 % 257) }
    #expect(gradientError(of: [logits], step: 1e-2) { crossEntropy($0[0], targets).loss } < 1e-2)
  }

  @Test func sharesOfClassesMatchFiniteDifferences() {
    let targets = softmax(randomTensor([40, 300], seed: 1))
    let error = slopeError(of: { softCrossEntropy($0, targets) }, at: randomTensor([40, 300], seed: 2))
    #expect(error < 1e-2)
  }

  @Test func noRowsCostNothing() {
    let tape = Tape()
    let logits = tape.leaf(Tensor([0, 9]))
    let (loss, correct) = crossEntropy(logits, [])
    tape.backward(from: loss)
    #expect(loss.item == 0)
    #expect(correct == 0)
  }

  @Test func equalLogitsAreDecidedByTheFirst() {
    #expect(crossEntropy(Tensor([3, 4]), [0, 1, 3]).correct == 1)
  }

  @Test func aLogitThatIsNotANumberShows() {
    #expect(crossEntropy(Tensor([1, .nan, 0], shape: [1, 3]), [0]).loss.item.isNaN)
  }
}
