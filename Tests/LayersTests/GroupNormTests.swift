import Layers
import Tensors
import TestSupport
import Testing

@Suite struct GroupNormTests {
  init() { useSeveralThreads() }

  @Test(arguments: ["plain", "silu", "one_group", "each_channel", "far_from_zero", "over_a_tile"])
  func matchesPyTorch(name: String) throws {
    let fixture = try FixtureFile("convolution.h5", of: "OperationsTests")["group_norm"][name]
    let channels = try fixture.tensor("weight").count
    let norm = GroupNorm(
      groups: try fixture.integers("groups")[0], channels: channels, in: ParameterScope(seed: 0))
    let silu = try fixture.integers("silu")[0] == 1
    // Far from zero float32 itself holds fewer digits of the deviations.
    #expect(
      try mismatches(
        with: fixture, tolerance: name == "far_from_zero" ? 1e-4 : 1e-5,
        parameters: ["weight": norm.weight, "bias": norm.bias]
      ) { silu ? norm.withSiLU($0) : norm($0) } == [])
  }

  /// Large enough for several chunks an image and several groups of images.
  @Test func largeImagesAreNormalized() {
    let norm = GroupNorm(groups: 2, channels: 16, in: ParameterScope(seed: 0))
    let x = randomTensor([3, 128, 160, 16], seed: 1)
    x.withUnsafeMutableElements { for i in $0.indices { $0[i] = 3 * $0[i] + 7 } }
    let y = norm(x).elements
    for image in 0..<3 {
      for group in 0..<2 {
        var (sum, squares) = (0.0, 0.0)
        for pixel in 0..<128 * 160 {
          for c in 0..<8 {
            let value = Double(y[(image * 128 * 160 + pixel) * 16 + group * 8 + c])
            sum += value
            squares += value * value
          }
        }
        let count = Double(128 * 160 * 8)
        #expect(abs(sum / count) < 1e-5 && abs(squares / count - 1) < 1e-4)
      }
    }
    #expect(slopeError(of: { norm.withSiLU($0) }, at: x, step: 1e-1) < 1e-2)
  }

  @Test func notANumberStaysVisible() {
    let norm = GroupNorm(groups: 1, channels: 4, in: ParameterScope(seed: 0))
    let x = randomTensor([1, 3, 3, 4], seed: 2)
    x[5] = .nan
    #expect(norm.withSiLU(x).elements.allSatisfy { $0.isNaN })
  }
}
