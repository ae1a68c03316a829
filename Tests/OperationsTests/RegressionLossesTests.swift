import Operations
import Tensors
import TestSupport
import Testing

@Suite struct RegressionLossesTests {
  @Test(arguments: ["l1", "mean_squared"]) func matchesPyTorch(name: String) throws {
    let fixture = try FixtureFile("convolution.h5")["loss"][name]
    let tape = Tape()
    let x = tape.leaf(try fixture.tensor("x"))
    let target = tape.leaf(try fixture.tensor("target"))
    let loss = name == "l1" ? l1Loss(x, target) : meanSquaredError(x, target)
    #expect(relativeError(loss, try fixture.tensor("y")) < 1e-6)
    tape.backward(from: loss)
    #expect(relativeError(x.gradient, try fixture.tensor("dx")) < 1e-6)
    #expect(relativeError(target.gradient, try fixture.tensor("dtarget")) < 1e-6)
  }

  /// More elements than one block of the sum holds.
  @Test func manyElementsKeepTheirDigits() {
    let x = Tensor([300_000], filledWith: 0.75)
    let target = Tensor([300_000], filledWith: 0.5)
    #expect(l1Loss(x, target).item == 0.25)
    #expect(meanSquaredError(x, target).item == 0.0625)
  }

  @Test func weightedSumSendsWeightsBack() {
    let tape = Tape()
    let (a, b) = (tape.leaf(Tensor(2)), tape.leaf(Tensor(5)))
    let total = weightedSum([(3, a), (0.5, b)])
    #expect(total.item == 8.5)
    tape.backward(from: total, scale: 2)
    #expect(a.gradient?.item == 6 && b.gradient?.item == 1)
  }
}

@Suite struct UnitChannelsTests {
  @Test func matchesPyTorch() throws {
    #expect(try mismatches(with: FixtureFile("convolution.h5")["unit_channels"]) { unitChannels($0) } == [])
  }

  @Test func zeroStaysZero() {
    let tape = Tape()
    let x = tape.leaf(Tensor([1, 1, 2, 4]))
    let y = unitChannels(x)
    tape.backward(from: innerProduct(y, Tensor([1, 1, 2, 4], filledWith: 1)))
    #expect(y.elements.allSatisfy { $0 == 0 })
    #expect(x.gradient?.elements.allSatisfy { $0.isFinite } == true)
  }
}
