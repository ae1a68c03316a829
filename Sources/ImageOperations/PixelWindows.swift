import CKernels
import Operations
@_spi(TensorMemory) import Tensors

/// Calls `body` for rows of `width` elements on all threads.
func forEachRow(of rows: Int, width: Int, _ body: (Int) -> Void) {
  ThreadPool.current.forEachRange(of: rows, grain: max(1, 1 << 14 / max(width, 1))) { range in
    for row in range { body(row) }
  }
}

/// Each pixel times `scale`, `factor` times in both directions, into images of `size` [batch, height, width];
/// pixels beyond the last repeat are 0.
func repeatPixels(_ x: Tensor, _ factor: Int, scale: Float, to size: [Int]) -> Tensor {
  let (batch, height, width, channels) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3])
  let isExact = size[1] == height * factor && size[2] == width * factor
  let shape = size + [channels]
  let y = isExact ? Tensor(uninitialized: shape, dtype: x.dtype) : Tensor(shape, dtype: x.dtype)
  let (inRow, outRow) = (width * channels, size[2] * channels)
  forEachRow(of: batch * height, width: inRow * factor * factor) { row in
    let start = (row / height * size[1] + row % height * factor) * outRow
    switch x.dtype {
    case .float32:
      peco_repeat_pixels(y.pointer + start, x.pointer + row * inRow, scale, width, channels, factor)
    case .bfloat16:
      peco_repeat_pixels_bfloat16(y.halves + start, x.halves + row * inRow, scale, width, channels, factor)
    }
    let bytes = x.dtype.size
    let first = y.memory + start * bytes
    for copy in 1..<max(factor, 1) {
      (first + copy * outRow * bytes).copyMemory(from: first, byteCount: inRow * factor * bytes)
    }
  }
  return y
}

/// `scale` times the sum of every window × window pixels.
func sumWindows(_ x: Tensor, _ window: Int, scale: Float) -> Tensor {
  let (batch, height, width, channels) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3])
  let (outHeight, outWidth) = (height / window, width / window)
  let y = Tensor(uninitialized: [batch, outHeight, outWidth, channels], dtype: x.dtype)
  forEachRow(of: batch * outHeight, width: width * channels * window) { row in
    let first = (row / outHeight * height + row % outHeight * window) * width * channels
    let place = row * outWidth * channels
    switch x.dtype {
    case .float32:
      peco_sum_windows(
        y.pointer + place, x.pointer + first, scale, outWidth, channels, window, width * channels)
    case .bfloat16:
      peco_sum_windows_bfloat16(
        y.halves + place, x.halves + first, scale, outWidth, channels, window, width * channels)
    }
  }
  return y
}
