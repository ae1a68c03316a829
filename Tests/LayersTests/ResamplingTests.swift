import Layers
import Tensors
import TestSupport
import Testing

@Suite struct ResamplingTests {
  init() { useSeveralThreads() }

  @Test(arguments: [2, 3]) func upsampleMatchesPyTorch(factor: Int) throws {
    try expectMatch(convolutionFixtures()["upsample"]["\(factor)"]) { upsampleNearest($0, factor: factor) }
  }

  @Test(arguments: [2, 3]) func averagePoolMatchesPyTorch(window: Int) throws {
    try expectMatch(convolutionFixtures()["average_pool"]["\(window)"]) { averagePool($0, window: window) }
  }

  @Test(arguments: ["even", "odd", "ties"]) func maxPoolMatchesPyTorch(name: String) throws {
    try expectMatch(convolutionFixtures()["max_pool"][name]) { maxPool2x2($0) }
  }
}
