import CKernels
import Operations
@_spi(TensorMemory) import Tensors

/// Images [batch, height, width, channels], or in blocks of channels, enlarged by a whole factor, each pixel repeated.
public func upsampleNearest(_ x: Tensor, factor: Int = 2) -> Tensor {
  channelwise(x) { upsampleChannelsLast($0, factor: factor) }
}

private func upsampleChannelsLast(_ x: Tensor, factor: Int) -> Tensor {
  let y = repeatPixels(x, factor, scale: 1, to: [x.shape[0], x.shape[1] * factor, x.shape[2] * factor])
  let target = x.gradientTarget
  return Tape.record(y, from: [x]) { dy in target.add(sumWindows(dy, factor, scale: 1)) }
}

/// The mean of every window × window pixels, windows side by side; what is left over at the right and bottom is
/// not read.
public func averagePool(_ x: Tensor, window: Int) -> Tensor {
  let scale = 1 / Float(window * window)
  let target = x.gradientTarget
  return Tape.record(sumWindows(x, window, scale: scale), from: [x]) { dy in
    target.add(repeatPixels(dy, window, scale: scale, to: Array(target.shape.prefix(3))))
  }
}

/// The greatest of every 2 × 2 pixels, windows side by side, in either layout; an odd last row or column is not read.
public func maxPool2x2(_ x: Tensor) -> Tensor { channelwise(x, maxPoolChannelsLast) }

private func maxPoolChannelsLast(_ x: Tensor) -> Tensor {
  let (height, width, channels) = (x.shape[1], x.shape[2], x.shape[3])
  let (outHeight, outWidth) = (height / 2, width / 2)
  let y = Tensor(uninitialized: [x.shape[0], outHeight, outWidth, channels])
  let (inRow, outRow) = (width * channels, outWidth * channels)
  forEachRow(of: x.shape[0] * outHeight, width: outRow) { row in
    let top = x.pointer + (row / outHeight * height + row % outHeight * 2) * inRow
    peco_max_pool_2x2(y.pointer + row * outRow, top, top + inRow, outWidth, channels)
  }
  return Tape.record(y, from: [x]) { dy in
    let isExact = height % 2 == 0 && width % 2 == 0
    let dx = isExact ? Tensor(uninitialized: x.shape) : Tensor(x.shape)
    forEachRow(of: x.shape[0] * outHeight, width: outRow) { row in
      let start = (row / outHeight * height + row % outHeight * 2) * inRow
      let (top, dtop) = (x.pointer + start, dx.pointer + start)
      peco_max_pool_2x2_backward(
        dtop, dtop + inRow, top, top + inRow, dy.pointer + row * outRow, outWidth, channels)
    }
    x.addGradient(dx)
  }
}

private func forEachRow(of rows: Int, width: Int, _ body: (Int) -> Void) {
  ThreadPool.current.forEachRange(of: rows, grain: max(1, 1 << 14 / max(width, 1))) { range in
    for row in range { body(row) }
  }
}

/// Each pixel times `scale`, `factor` times in both directions, into images of `size` [batch, height, width];
/// pixels beyond the last repeat are 0.
private func repeatPixels(_ x: Tensor, _ factor: Int, scale: Float, to size: [Int]) -> Tensor {
  let (batch, height, width, channels) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3])
  let isExact = size[1] == height * factor && size[2] == width * factor
  let shape = size + [channels]
  let y = isExact ? Tensor(uninitialized: shape) : Tensor(shape)
  let (inRow, outRow) = (width * channels, size[2] * channels)
  forEachRow(of: batch * height, width: inRow * factor * factor) { row in
    let first = y.pointer + (row / height * size[1] + row % height * factor) * outRow
    peco_repeat_pixels(first, x.pointer + row * inRow, scale, width, channels, factor)
    for copy in 1..<max(factor, 1) { (first + copy * outRow).update(from: first, count: inRow * factor) }
  }
  return y
}

/// `scale` times the sum of every window × window pixels.
private func sumWindows(_ x: Tensor, _ window: Int, scale: Float) -> Tensor {
  let (batch, height, width, channels) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3])
  let (outHeight, outWidth) = (height / window, width / window)
  let y = Tensor(uninitialized: [batch, outHeight, outWidth, channels])
  forEachRow(of: batch * outHeight, width: width * channels * window) { row in
    let first = (row / outHeight * height + row % outHeight * window) * width * channels
    peco_sum_windows(
      y.pointer + row * outWidth * channels, x.pointer + first, scale, outWidth, channels, window,
      width * channels)
  }
  return y
}
