import ImageOperations
import Layers
import Operations
import Tensors
import TestSupport
import Testing

/// Everything that works on blocks of channels gives what it gives on channels last.
@Suite struct ChannelLayoutTests {
  init() { useSeveralThreads() }

  /// Values and gradients of a function in both layouts.
  private func compare(
    _ x: Tensor, parameters: @autoclosure () -> [Parameter] = [], within bound: Float = 1e-6,
    _ function: (Tensor) -> Tensor
  ) throws {
    let y = function(x)
    let dy = randomTensor(y.shape, seed: 9)
    func run(_ body: (Tensor) -> Tensor) -> [Tensor?] {
      for parameter in parameters() {
        parameter.enableGradient()
        parameter.gradient?.fill(0)
      }
      let (y, gradients) = differentiate([x], dy: dy) { body($0[0]) }
      return [y] + gradients + parameters().map { $0.gradient?.copy() }
    }
    let last = run(function)
    let blocked = run { channelsLast(function(channelBlocked($0))) }
    for (found, expected) in zip(blocked, last) {
      #expect(relativeError(found, try #require(expected)) <= bound)
    }
  }

  @Test func rearrangingThereAndBackChangesNothing() throws {
    let x = randomTensor([2, 5, 7, 48], seed: 1)
    let blocked = channelBlocked(x)
    #expect(blocked.shape == [2, 3, 5, 7, 16])
    #expect(blocked.elements[16 * 35 * 2 + 16 + 3] == x.elements[48 + 32 + 3])
    #expect(channelsLast(blocked).elements == x.elements)
    try compare(x) { $0 }
  }

  @Test func upsampling() throws {
    try compare(randomTensor([2, 3, 5, 32], seed: 1)) { upsampleNearest($0) }
  }

  @Test(arguments: [1, 4, 32]) func groupNormalization(groups: Int) throws {
    let norm = GroupNorm(groups: groups, channels: 32, in: ParameterScope(seed: 1))
    norm.weight.value.copyElements(from: randomTensor([32], seed: 5))
    let x = randomTensor([3, 70, 70, 32], seed: 2)
    try compare(x, parameters: [norm.weight, norm.bias], within: 1e-5) { norm($0) }
    try compare(x, parameters: [norm.weight, norm.bias], within: 1e-5) { norm.withSiLU($0) }
  }

  @Test(arguments: [(3, 1), (3, 2), (1, 1)]) func convolution(kernel: Int, stride: Int) throws {
    let layer = Convolution2d(
      32, 48, kernel: kernel, stride: stride, padding: kernel == 3 ? 1 : 0, in: ParameterScope(seed: 2))
    // Winograd's algorithm, which serves blocks, rounds a little more.
    try compare(
      randomTensor([2, 30, 26, 32], seed: 3), parameters: [layer.weight] + (layer.bias.map { [$0] } ?? []),
      within: 1e-5
    ) { layer($0) }
    try compare(randomTensor([2, 30, 26, 32], seed: 3), within: 1e-5) { layer.withReLU($0) }
  }

  @Test func aSizeThatWinogradsTilesDoNotDivide() throws {
    let layer = Convolution2d(64, 64, kernel: 3, padding: 1, in: ParameterScope(seed: 2))
    try compare(
      randomTensor([3, 19, 61, 64], seed: 3), parameters: [layer.weight] + (layer.bias.map { [$0] } ?? []),
      within: 1e-5
    ) { layer($0) }
  }

  @Test func attention() throws {
    let scope = ParameterScope(seed: 3)
    let block = SpatialAttention(channels: 32, groups: 8, in: scope)
    try compare(randomTensor([2, 6, 6, 32], seed: 4), parameters: scope.parameters, within: 1e-5) {
      block($0)
    }
  }
}
