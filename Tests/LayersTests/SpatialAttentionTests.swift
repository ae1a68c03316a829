import ImageOperations
import Layers
import Operations
import Tensors
import TestSupport
import Testing

@Suite struct SpatialAttentionTests {
  init() { useSeveralThreads() }

  @Test func matchesPyTorch() throws {
    let fixture = try FixtureFile("convolution.h5", of: "OperationsTests")["attention"]
    let tape = Tape()
    let q = tape.leaf(try fixture.tensor("q"))
    let k = tape.leaf(try fixture.tensor("k"))
    let v = tape.leaf(try fixture.tensor("v"))
    let y = singleHeadAttention(query: q, key: k, value: v)
    #expect(relativeError(y, try fixture.tensor("y")) < 1e-5)
    tape.backward(from: innerProduct(y, try fixture.tensor("dy")))
    #expect(relativeError(q.gradient, try fixture.tensor("dq")) < 1e-5)
    #expect(relativeError(k.gradient, try fixture.tensor("dk")) < 1e-5)
    #expect(relativeError(v.gradient, try fixture.tensor("dv")) < 1e-5)
  }

  @Test func blockHasTheRightSlope() {
    let scope = ParameterScope(seed: 1)
    let block = SpatialAttention(channels: 8, groups: 2, in: scope)
    #expect(
      scope.parameters.map(\.name)
        == ["norm", "q", "k", "v", "proj_out"].flatMap { ["\($0).weight", "\($0).bias"] })
    #expect(slopeError(of: { block($0) }, at: randomTensor([2, 3, 4, 8], seed: 2)) < 1e-2)
  }
}
