import CKernels
@_spi(TensorMemory) import Tensors

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
public func maxPool2x2(_ x: Tensor) -> Tensor { channelwise(x, maxPool2x2ChannelsLast) }

private func maxPool2x2ChannelsLast(_ x: Tensor) -> Tensor {
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

/// The greatest of every 3 × 3 pixels, windows two pixels apart, of images with channels last or in blocks of channels
/// that have one pixel of nothing around them: `MaxPool2d(3, stride: 2, padding: 1)`.
public func maxPool3x3(_ x: Tensor) -> Tensor { channelwise(x, maxPool3x3ChannelsLast) }

private func maxPool3x3ChannelsLast(_ x: Tensor) -> Tensor {
  let (height, width, channels) = (x.shape[1], x.shape[2], x.shape[3])
  let y = Tensor(uninitialized: [x.shape[0], (height + 1) / 2, (width + 1) / 2, channels])
  let (inSize, outSize) = (height * width * channels, y.count / max(x.shape[0], 1))
  ThreadPool.current.forEachRange(of: x.shape[0]) { range in
    for image in range {
      peco_max_pool_3x3(y.pointer + image * outSize, x.pointer + image * inSize, height, width, channels)
    }
  }
  return Tape.record(y, from: [x]) { dy in
    let dx = Tensor(x.shape)
    // Windows overlap, images do not.
    ThreadPool.current.forEachRange(of: x.shape[0]) { range in
      for image in range {
        let start = image * inSize
        peco_max_pool_3x3_backward(
          dx.pointer + start, x.pointer + start, dy.pointer + image * outSize, height, width, channels)
      }
    }
    x.addGradient(dx)
  }
}
