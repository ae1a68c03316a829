import CKernels
import Operations
@_spi(TensorMemory) import Tensors

/// x · scale + offset with fixed numbers for each channel: [..., channels] with [channels] each.
public func channelAffine(_ x: Tensor, scale: Tensor, offset: Tensor) -> Tensor {
  let noOffset = Tensor([scale.count])
  let target = x.gradientTarget
  return Tape.record(apply(x, scale, offset), from: [x]) { dy in target.add(apply(dy, scale, noOffset)) }
}

private func apply(_ x: Tensor, _ scale: Tensor, _ offset: Tensor) -> Tensor {
  let channels = scale.count
  precondition(x.shape.last == channels, "\(channels) channels are expected, not shape \(x.shape)")
  let y = Tensor(uninitialized: x.shape)
  ThreadPool.current.forEachRange(of: x.count / channels, grain: max(1, 1 << 14 / channels)) { rows in
    let start = rows.lowerBound * channels
    peco_channel_affine(
      y.pointer + start, x.pointer + start, scale.pointer, offset.pointer, rows.count, channels)
  }
  return y
}
