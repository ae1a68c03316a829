import CKernels
import COneDNN
import Operations
@_spi(TensorMemory) import Tensors

/// How the images of a tensor lie in memory: channels last, [batch, height, width, channels], or in blocks of sixteen
/// channels, [batch, channels / 16, height, width, 16].
///
/// oneDNN's fastest convolutions work on blocks. What treats every channel alike sees blocks as that many more images
/// of sixteen channels.
struct ChannelLayout {
  /// Channels of a block: the floats of an AVX-512 register.
  static let block = 16

  let batch, height, width, channels: Int
  let isBlocked: Bool

  init(_ shape: [Int]) {
    precondition(
      shape.count == 4 || shape.count == 5 && shape[4] == Self.block,
      "images are [batch, height, width, channels] or [batch, channels / 16, height, width, 16], not \(shape)"
    )
    isBlocked = shape.count == 5
    batch = shape[0]
    (height, width) = isBlocked ? (shape[2], shape[3]) : (shape[1], shape[2])
    channels = isBlocked ? shape[1] * Self.block : shape[3]
  }

  /// The blocks of an image; one where channels lie last.
  var blocks: Int { isBlocked ? channels / Self.block : 1 }
  /// Channels that lie side by side.
  var run: Int { channels / blocks }

  static func shape(batch: Int, height: Int, width: Int, channels: Int, isBlocked: Bool) -> [Int] {
    isBlocked ? [batch, channels / block, height, width, block] : [batch, height, width, channels]
  }
}

/// Whether convolutions between these numbers of channels are faster on blocks of them on this processor.
public func prefersChannelBlocks(_ channels: [Int]) -> Bool {
  peco_dnn_has_wide_blocks() != 0 && channels.allSatisfy { $0 % ChannelLayout.block == 0 }
}

/// Whether images lie in blocks of channels rather than with channels last.
public func isChannelBlocked(_ images: Tensor) -> Bool { ChannelLayout(images.shape).isBlocked }

/// The images in blocks of channels.
public func channelBlocked(_ x: Tensor) -> Tensor {
  let layout = ChannelLayout(x.shape)
  if layout.isBlocked { return x }
  let target = x.gradientTarget
  return Tape.record(rearranged(x, layout, blocked: true), from: [x]) { dy in
    target.add(rearranged(dy, layout, blocked: false))
  }
}

/// The images with channels last.
public func channelsLast(_ x: Tensor) -> Tensor {
  let layout = ChannelLayout(x.shape)
  if !layout.isBlocked { return x }
  let target = x.gradientTarget
  return Tape.record(rearranged(x, layout, blocked: false), from: [x]) { dy in
    target.add(rearranged(dy, layout, blocked: true))
  }
}

/// Applies what treats every channel alike to images in either layout.
func channelwise(_ x: Tensor, _ body: (Tensor) -> Tensor) -> Tensor {
  let layout = ChannelLayout(x.shape)
  guard layout.isBlocked else { return body(x) }
  let y = body(x.reshaped([layout.batch * layout.blocks, layout.height, layout.width, layout.run]))
  return y.reshaped([layout.batch, layout.blocks] + y.shape.dropFirst())
}

/// A copy in the other layout.
private func rearranged(_ x: Tensor, _ layout: ChannelLayout, blocked: Bool) -> Tensor {
  let (pixels, channels, block) = (layout.height * layout.width, layout.channels, ChannelLayout.block)
  precondition(channels % block == 0, "\(channels) channels cannot be cut into blocks")
  let y = Tensor(
    uninitialized: ChannelLayout.shape(
      batch: layout.batch, height: layout.height, width: layout.width, channels: channels, isBlocked: blocked),
    dtype: x.dtype)
  // A few rows of pixels at a time: all blocks of them before the next, so that both sides stay in cache.
  let piece = max(1, (1 << 14) / channels)
  let pieces = (pixels + piece - 1) / piece
  ThreadPool.current.forEachRange(of: layout.batch * pieces) { range in
    for index in range {
      let (image, number) = index.quotientAndRemainder(dividingBy: pieces)
      let first = number * piece
      let count = min(piece, pixels - first)
      for start in stride(from: 0, to: channels, by: block) {
        let last = (image * pixels + first) * channels + start
        let inBlocks = (image * channels + start) * pixels + first * block
        let (from, to) = blocked ? (last, inBlocks) : (inBlocks, last)
        let (fromStride, toStride) = blocked ? (channels, block) : (block, channels)
        switch x.dtype {
        case .float32: peco_copy_rows(y.pointer + to, toStride, x.pointer + from, fromStride, count, block)
        case .bfloat16:
          peco_copy_rows_bfloat16(y.halves + to, toStride, x.halves + from, fromStride, count, block)
        }
      }
    }
  }
  return y
}
