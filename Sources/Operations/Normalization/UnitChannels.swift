import CKernels
@_spi(TensorMemory) import Tensors

/// Each pixel's vector of channels divided by its length (plus `epsilon`), as LPIPS compares features (Zhang et
/// al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018).
public func unitChannels(_ x: Tensor, epsilon: Float = 1e-10) -> Tensor {
  let channels = x.shape.last ?? 1
  let rows = x.count / max(channels, 1)
  let grain = max(1, 1 << 14 / max(channels, 1))
  let y = Tensor(uninitialized: x.shape)
  ThreadPool.current.forEachRange(of: rows, grain: grain) { range in
    let start = range.lowerBound * channels
    peco_unit_rows(y.pointer + start, x.pointer + start, epsilon, range.count, channels)
  }
  return Tape.record(y, from: [x]) { dy in
    let dx = Tensor(uninitialized: x.shape)
    ThreadPool.current.forEachRange(of: rows, grain: grain) { range in
      let start = range.lowerBound * channels
      peco_unit_rows_backward(
        dx.pointer + start, x.pointer + start, dy.pointer + start, epsilon, range.count, channels)
    }
    x.addGradient(dx)
  }
}
