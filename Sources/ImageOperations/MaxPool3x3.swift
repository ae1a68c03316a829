import CKernels
@_spi(TensorMemory) import Tensors

/// The greatest of every 3 × 3 pixels, windows two pixels apart, of images with channels last or in blocks of channels
/// that have one pixel of nothing around them: `MaxPool2d(3, stride: 2, padding: 1)`.
public func maxPool3x3(_ x: Tensor) -> Tensor { channelwise(x, maxPoolChannelsLast) }

private func maxPoolChannelsLast(_ x: Tensor) -> Tensor {
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
