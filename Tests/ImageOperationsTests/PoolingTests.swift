import ImageOperations
import Operations
import Tensors
import TestSupport
import Testing

@Suite struct ResNetLayersTests {
  init() { useSeveralThreads() }

  @Test(arguments: ["max_pool_odd", "max_pool_even", "max_pool_one"])
  func overlappingWindowsMatchPyTorch(group: String) throws {
    let fixture = try FixtureFile("resnet_layers.h5", of: "OperationsTests")[group]
    let (x, dy) = (try fixture.tensor("x"), try fixture.tensor("dy"))
    let (y, gradients) = differentiate([x], dy: dy) { maxPool3x3($0[0]) }
    #expect(relativeError(y, try fixture.tensor("y")) == 0)
    #expect(relativeError(gradients[0], try fixture.tensor("dx")) < 1e-6)
  }

  @Test func blocksOfChannelsGiveTheSame() {
    let x = randomTensor([2, 7, 6, 32], seed: 3)
    let dy = randomTensor([2, 4, 3, 32], seed: 4)
    let (y, gradients) = differentiate([x], dy: dy) { maxPool3x3($0[0]) }
    let (blocked, others) = differentiate([x], dy: dy) { channelsLast(maxPool3x3(channelBlocked($0[0]))) }
    #expect(blocked.elements == y.elements && others[0]?.elements == gradients[0]?.elements)
  }

  @Test func theEndOfABlockMatchesPyTorch() throws {
    let fixture = try FixtureFile("resnet_layers.h5", of: "OperationsTests")["add_relu"]
    let inputs = [try fixture.tensor("x"), try fixture.tensor("z")]
    let (y, gradients) = differentiate(inputs, dy: try fixture.tensor("dy")) { addReLU($0[0], $0[1]) }
    #expect(relativeError(y, try fixture.tensor("y")) < 1e-6)
    #expect(relativeError(gradients[0], try fixture.tensor("dx")) == 0)
    #expect(relativeError(gradients[1], try fixture.tensor("dz")) == 0)
  }

  @Test func theyMatchFiniteDifferences() {
    let x = randomTensor([2, 7, 6, 5], seed: 1)
    #expect(gradientError(of: [x], step: 1e-4) { maxPool3x3($0[0]) } < 1e-2)
    let y = randomTensor([2, 7, 6, 5], seed: 2)
    #expect(gradientError(of: [x, y], step: 1e-4) { addReLU($0[0], $0[1]) } < 1e-2)
  }

  @Test func whatIsNoNumberStays() {
    let x = Tensor([1, .nan, 3, 4], shape: [1, 2, 2, 1])
    #expect(maxPool3x3(x).item.isNaN)
    #expect(addReLU(Tensor([.nan], shape: [1]), Tensor([1], shape: [1])).item.isNaN)
  }
}
