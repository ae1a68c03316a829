import Layers
import Tensors
import TestSupport
import Testing

@Suite struct ChannelAffineTests {
  @Test func mapsEachChannel() throws {
    let affine = ChannelAffine.normalization(mean: [0.5, 0.25, 0], deviation: [0.5, 0.25, 1])
    // −1 is black and 1 is white.
    let tape = Tape()
    let x = tape.leaf(Tensor([-1, -1, -1, 1, 1, 1], shape: [1, 1, 2, 3]))
    let y = affine(x)
    #expect(y.elements == [-1, -1, 0, 1, 3, 1])
    tape.backward(from: innerProduct(y, Tensor(x.shape, filledWith: 1)))
    #expect(x.gradient?.elements == [1, 2, 0.5, 1, 2, 0.5])
  }
}
