import Operations
import Tensors

/// Images [batch, height, width, channels], or in blocks of channels, enlarged by a whole factor, each pixel repeated.
public func upsampleNearest(_ x: Tensor, factor: Int = 2) -> Tensor {
  channelwise(x) { upsampleChannelsLast($0, factor: factor) }
}

private func upsampleChannelsLast(_ x: Tensor, factor: Int) -> Tensor {
  let y = repeatPixels(x, factor, scale: 1, to: [x.shape[0], x.shape[1] * factor, x.shape[2] * factor])
  let target = x.gradientTarget
  return Tape.record(y, from: [x]) { dy in target.add(sumWindows(dy, factor, scale: 1)) }
}
