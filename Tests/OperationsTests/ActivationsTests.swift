import Foundation
import Operations
import Tensors
import TestSupport
import Testing

@Suite struct SiLUTests {
  @Test func matchesPyTorch() throws {
    #expect(try mismatches(with: FixtureFile("convolution.h5")["silu"]) { silu($0) } == [])
  }

  @Test func isAccurateOverItsRange() {
    let x = (0...4000).map { Float($0) * 0.05 - 100 } + [.infinity, 1e30]
    let y = silu(Tensor(x, shape: [x.count])).elements
    for (x, y) in zip(x, y) {
      let expected = Double(x) / (1 + exp(-Double(x)))
      if expected.isInfinite {
        #expect(y == .infinity)
      } else {
        #expect(abs(Double(y) - expected) <= 1e-6 * abs(expected) + 1e-36, "at \(x)")
      }
    }
    #expect(silu(Tensor(.nan)).item.isNaN)
  }
}

@Suite struct ReLUTests {
  @Test func matchesPyTorch() throws {
    #expect(try mismatches(with: FixtureFile("convolution.h5")["relu"]) { relu($0) } == [])
  }

  @Test func notANumberStays() { #expect(relu(Tensor([.nan, -1, 2], shape: [3])).elements[0].isNaN) }
}
