import CKernels
@_spi(TensorMemory) import Tensors

/// Some of the channels (the last axis) of `x`: [..., channels.count].
public func channelSlice(_ x: Tensor, _ channels: Range<Int>) -> Tensor {
  let (width, count) = (x.shape.last ?? 1, channels.count)
  precondition(
    channels.lowerBound >= 0 && channels.upperBound <= width, "\(channels) are not among \(width) channels")
  let rows = x.count / max(width, 1)
  let y = Tensor(uninitialized: x.shape.dropLast() + [count])
  ThreadPool.current.forEachRange(of: rows, grain: rowGrain(count)) { range in
    peco_copy_rows(
      y.pointer + range.lowerBound * count, count,
      x.pointer + range.lowerBound * width + channels.lowerBound, width, range.count, count)
  }
  return Tape.record(y, from: [x]) { dy in
    let dx = Tensor(x.shape)
    ThreadPool.current.forEachRange(of: rows, grain: rowGrain(count)) { range in
      peco_copy_rows(
        dx.pointer + range.lowerBound * width + channels.lowerBound, width,
        dy.pointer + range.lowerBound * count, count, range.count, count)
    }
    x.addGradient(dx)
  }
}
