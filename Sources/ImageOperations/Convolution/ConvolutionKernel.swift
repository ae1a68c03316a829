import COneDNN
import Operations
@_spi(TensorMemory) import Tensors

/// oneDNN's convolution of one shape: images NHWC or in blocks of channels, weights OIHW. Images are in the context's
/// precision, and results too unless they are asked for in float32; weights and their gradients are float32.
struct ConvolutionKernel {
  private var shape: peco_dnn_convolution
  /// The number format of images.
  let dtype = ExecutionContext.current.precision
  /// Where the processor lacks instructions for bfloat16, the library may lack kernels: images go through float32.
  private var isNative: Bool { dtype == .float32 || MatrixMultiply.hasNativeBFloat16 }

  /// The convolution of `input` [batch, height, width, in channels], or the same in blocks of channels (then the
  /// output has them, too), with `weight` [out, in, height, width].
  init(input: [Int], weight: [Int], stride: Int, padding: Padding) {
    let layout = ChannelLayout(input)
    precondition(
      weight.count == 4 && weight[1] == layout.channels,
      "weights \(weight) do not fit an input of \(layout.channels) channels")
    precondition(
      !layout.isBlocked || weight[0] % ChannelLayout.block == 0,
      "\(weight[0]) output channels cannot be cut into blocks")
    precondition(
      layout.height + padding.top + padding.bottom >= weight[2]
        && layout.width + padding.left + padding.right >= weight[3],
      "an image of \(layout.height)x\(layout.width) is smaller than the kernel \(weight[2])x\(weight[3])")
    shape = peco_dnn_convolution(
      batch: Int32(layout.batch), height: Int32(layout.height), width: Int32(layout.width),
      in_channels: Int32(layout.channels), out_channels: Int32(weight[0]), kernel_height: Int32(weight[2]),
      kernel_width: Int32(weight[3]), stride: Int32(stride), pad_top: Int32(padding.top),
      pad_bottom: Int32(padding.bottom), pad_left: Int32(padding.left), pad_right: Int32(padding.right),
      channel_block: layout.isBlocked ? Int32(ChannelLayout.block) : 0, is_narrow: 0, is_wide_result: 0)
    if dtype == .bfloat16, isNative { shape.is_narrow = 1 }
  }

  /// Shape of the output, [batch, height, width, out channels] or the same in blocks of channels.
  var outputShape: [Int] {
    let height = (shape.height + shape.pad_top + shape.pad_bottom - shape.kernel_height) / shape.stride + 1
    let width = (shape.width + shape.pad_left + shape.pad_right - shape.kernel_width) / shape.stride + 1
    return images(height: height, width: width, channels: shape.out_channels)
  }

  /// Shape of the input.
  var inputShape: [Int] { images(height: shape.height, width: shape.width, channels: shape.in_channels) }

  private func images(height: Int32, width: Int32, channels: Int32) -> [Int] {
    ChannelLayout.shape(
      batch: Int(shape.batch), height: Int(height), width: Int(width), channels: Int(channels),
      isBlocked: shape.channel_block != 0)
  }

  /// Whether it adds images of bfloat16 to its output in the same pass. In float32 a sum of its own keeps what the output
  /// rounds to.
  var addsInPass: Bool { dtype == .bfloat16 && isNative }

  /// - Parameters:
  ///   - added: Added to the output, of its shape and number format; `addsInPass` tells where.
  ///   - result: The number format of the output; nil for that of images.
  func forward(
    _ x: Tensor, weight: Tensor, bias: Tensor?, relu: Bool = false, added: Tensor? = nil,
    result: DType? = nil
  ) -> Tensor {
    let epilogue = added != nil ? PECO_DNN_ADD : relu ? PECO_DNN_RELU : PECO_DNN_NOTHING
    return into(outputShape, x, result) { shape, x, y, threads in
      peco_dnn_convolution_forward(
        shape, x.memory, weight.pointer, bias?.pointer, added?.memory, y.memory, epilogue, threads)
    }
  }

  /// - Parameter result: The number format of the gradient; nil for that of images.
  func backwardData(_ dy: Tensor, weight: Tensor, result: DType? = nil) -> Tensor {
    into(inputShape, dy, result) { shape, dy, dx, threads in
      peco_dnn_convolution_backward_data(shape, dy.memory, weight.pointer, dx.memory, threads)
    }
  }

  /// Makes images of others, in the number formats that the library is given.
  private func into(
    _ resultShape: [Int], _ images: Tensor, _ result: DType?,
    _ body: (UnsafePointer<peco_dnn_convolution>, Tensor, Tensor, _ threads: Int32) -> Int32
  ) -> Tensor {
    let wanted = result ?? dtype
    let images = images.converted(to: isNative ? dtype : .float32)
    let y = Tensor(uninitialized: resultShape, dtype: isNative ? wanted : .float32)
    if shape.batch > 0 {
      var shape = shape
      shape.is_wide_result = shape.is_narrow != 0 && wanted == .float32 ? 1 : 0
      let threads = Int32(ThreadPool.current.threadCount)
      if withUnsafePointer(to: shape, { body($0, images, y, threads) }) != 0 { Self.giveUp() }
    }
    return y.converted(to: wanted)
  }

  /// Most groups of images whose gradients of the weight are computed apart.
  private static let mostGroups = 8

  /// Adds to the gradients of weight and bias.
  ///
  /// They are the same to the bit on any number of threads, up to that of groups. oneDNN would cut the images by the
  /// number of threads; so a group of them is one thread's here, and the groups' gradients are added in order.
  /// Winograd's algorithm between many channels it cuts by channels, which does not show, and is faster with all
  /// images at once.
  func backwardWeights(_ dy: Tensor, _ x: Tensor, weightGradient: Tensor, biasGradient: Tensor?) {
    let pool = ThreadPool.current
    let batch = Int(shape.batch)
    guard batch > 0 else { return }
    let (dy, x) = (
      dy.converted(to: isNative ? dtype : .float32), x.converted(to: isNative ? dtype : .float32)
    )
    let manyChannels = 1 << 16
    let isCutByChannels =
      shape.is_narrow == 0 && shape.kernel_height == 3
      && shape.out_channels * shape.in_channels >= manyChannels
    let canGroup = !isCutByChannels && min(batch, Self.mostGroups) >= pool.threadCount
    let (groups, threads) = canGroup ? (min(batch, Self.mostGroups), 1) : (1, pool.threadCount)
    if !canGroup, let biasGradient { addChannelSums(of: dy, into: biasGradient) }
    let biasGradient = canGroup ? biasGradient : nil
    let hasBias: Int32 = biasGradient == nil ? 0 : 1
    let parts = (0..<groups).map { group in
      var part = shape
      part.batch = Int32(batch * (group + 1) / groups - batch * group / groups)
      let size = peco_dnn_convolution_gradient_size(&part, hasBias, Int32(threads))
      if size < 0 { Self.giveUp() }
      return (shape: part, gradient: Tensor(uninitialized: [max(Int(size), 1)]))
    }
    pool.forEach(groups) { group in
      let first = batch * group / groups
      var part = parts[group].shape
      let status = peco_dnn_convolution_gradient(
        &part, dy.memory + first * (dy.count / batch) * dy.dtype.size,
        x.memory + first * (x.count / batch) * x.dtype.size, parts[group].gradient.pointer, hasBias,
        Int32(threads))
      if status != 0 { Self.giveUp() }
    }
    for (var part, gradient) in parts {
      let status = peco_dnn_convolution_add_gradient(
        &part, gradient.pointer, weightGradient.pointer, biasGradient?.pointer, Int32(threads))
      if status != 0 { Self.giveUp() }
    }
  }

  /// What is left here is the library out of memory, or unable to run on this processor at all.
  private static func giveUp() -> Never {
    ExecutionContext.current.fail(ExecutionError("a convolution: \(String(cString: peco_dnn_last_error()))"))
  }
}
