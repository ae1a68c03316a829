import ImageOperations
import Tensors
import TestSupport
import Testing

@Suite struct ResamplingTests {
  init() { useSeveralThreads() }

  @Test(arguments: [2, 3]) func upsampleMatchesPyTorch(factor: Int) throws {
    #expect(
      try mismatches(with: FixtureFile("convolution.h5", of: "OperationsTests")["upsample"]["\(factor)"]) {
        upsampleNearest($0, factor: factor)
      } == [])
  }

  @Test(arguments: [2, 3]) func averagePoolMatchesPyTorch(window: Int) throws {
    #expect(
      try mismatches(with: FixtureFile("convolution.h5", of: "OperationsTests")["average_pool"]["\(window)"])
      {
        averagePool($0, window: window)
      } == [])
  }

  @Test(arguments: ["even", "odd", "ties"]) func maxPoolMatchesPyTorch(name: String) throws {
    #expect(
      try mismatches(with: FixtureFile("convolution.h5", of: "OperationsTests")["max_pool"][name]) {
        maxPool2x2($0)
      } == [])
  }
}
