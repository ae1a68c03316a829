import CKernels
@_spi(TensorMemory) import Tensors

/// Adds to `total` [channels] the sums of `x` over all pixels of all images, in either layout of images.
func addChannelSums(of x: Tensor, into total: Tensor) {
  let layout = ChannelLayout(x.shape)
  // What lies side by side are the rows of one image's block of channels; channels last, all of them are of one block.
  let (run, blocks) = (layout.run, layout.blocks)
  let planes = layout.isBlocked ? layout.batch * blocks : 1
  let rows = x.count / run / max(planes, 1)
  let pool = ThreadPool.current
  let grain = max(1, 1 << 15 / run)
  let ranges = pool.rangeCount(of: rows, grain: grain)
  let partial = DoubleSum(count: planes * ranges * run)
  pool.forEach(planes) { plane in
    pool.forEachIndexedRange(of: rows, grain: grain) { index, range in
      let start = (plane * rows + range.lowerBound) * run
      let sums = partial.pointer + (plane * ranges + index) * run
      switch x.dtype {
      case .float32: peco_channel_sums(x.pointer + start, range.count, run, sums)
      case .bfloat16: peco_channel_sums_bfloat16(x.halves + start, range.count, run, sums)
      }
    }
  }
  for plane in 0..<planes {
    let channels = total.pointer + plane % blocks * run
    for index in 0..<ranges {
      let sums = partial.pointer + (plane * ranges + index) * run
      for c in 0..<run { channels[c] += Float(sums[c]) }
    }
  }
}
