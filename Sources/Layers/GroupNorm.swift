import CKernels
import Foundation
@_spi(TensorMemory) import Tensors

/// Group normalization over images with channels last (Wu and He, "Group Normalization", 2018), optionally
/// followed by SiLU in the same pass.
public struct GroupNorm {
  /// Factor of each channel, [channels].
  public let weight: Parameter
  /// Offset of each channel, [channels].
  public let bias: Parameter
  /// Number of groups the channels are cut into.
  public let groups: Int
  /// Added to the variance.
  public let epsilon: Float

  /// A normalization of `channels` in `groups` equal parts.
  public init(groups: Int, channels: Int, epsilon: Float = 1e-6, in scope: ParameterScope) {
    precondition(channels % groups == 0, "\(channels) channels cannot be cut into \(groups) groups")
    weight = scope.parameter("weight", [channels], .ones)
    bias = scope.parameter("bias", [channels], .zeros)
    self.groups = groups
    self.epsilon = epsilon
  }

  private init(holding other: GroupNorm) {
    (weight, bias) = (other.weight.held, other.bias.held)
    (groups, epsilon) = (other.groups, other.epsilon)
  }

  /// The same normalization, its parameters held: gradients flow through to the input and not into the parameters.
  public var held: GroupNorm { GroupNorm(holding: self) }

  /// [batch, height, width, channels], or in blocks of channels, each group of channels of each image to mean 0
  /// and variance 1, then scaled and shifted by channel.
  public func callAsFunction(_ x: Tensor) -> Tensor { normalize(x, silu: false) }

  /// The normalization followed by SiLU.
  public func withSiLU(_ x: Tensor) -> Tensor { normalize(x, silu: true) }

  private func normalize(_ x: Tensor, silu: Bool) -> Tensor {
    let plan = Plan(x.shape)
    precondition(
      plan.channels == weight.count, "\(plan.channels) channels, where \(weight.count) are expected")
    let coefficients = Coefficients(images: plan.images, channels: plan.channels)
    let y = Tensor(uninitialized: x.shape)
    let sums = ChannelSums(plan)

    plan.forEachGroup { images in
      plan.forEachChunk(of: images) { chunk in
        // Sums about a value of the channel itself keep the digits of the variance where the mean is large.
        let sum = sums.partial(chunk.slot)
        peco_channel_moments(
          x.pointer + chunk.start, x.pointer + chunk.planeStart, chunk.rows, plan.run, sum, sum + plan.run)
      }
      for image in images {
        sums.add(of: image)
        setCoefficients(coefficients, of: image, sums, about: x, plan)
      }
      plan.forEachChunk(of: images) { chunk in
        let (scale, offset) = (
          coefficients.scale(chunk.image) + chunk.channel,
          coefficients.offset(chunk.image) + chunk.channel
        )
        let (output, input) = (y.pointer + chunk.start, x.pointer + chunk.start)
        if silu {
          peco_channel_affine_silu(output, input, scale, offset, chunk.rows, plan.run)
        } else {
          peco_channel_affine(output, input, scale, offset, chunk.rows, plan.run)
        }
      }
    }

    return Tape.record(y, from: [x], parameters: [weight, bias]) { dy in
      x.addGradient(backward(x, dy, coefficients, plan, silu: silu))
    }
  }

  /// From Σ(x − s) and Σ(x − s)² of each channel, the affine map that normalizes it.
  private func setCoefficients(
    _ coefficients: Coefficients, of image: Int, _ sums: ChannelSums, about x: Tensor, _ plan: Plan
  ) {
    let width = weight.count / groups
    let rows = Double(plan.rows)
    let count = rows * Double(width)
    func shift(_ c: Int) -> Double { Double(x.pointer[plan.firstElement(of: image, channel: c)]) }
    for group in 0..<groups {
      let members = group * width..<(group + 1) * width
      let mean = members.reduce(0.0) { $0 + sums.first(image, $1) + rows * shift($1) } / count
      let squares = members.reduce(0.0) { total, c in
        let d = mean - shift(c)
        return total + sums.second(image, c) - 2 * d * sums.first(image, c) + rows * d * d
      }
      let inverse = 1 / (max(squares, 0) / count + Double(epsilon)).squareRoot()
      for c in members {
        let factor = Double(weight.value.pointer[c]) * (squares.isNaN ? .nan : inverse)
        coefficients.scale(image)[c] = Float(factor)
        coefficients.offset(image)[c] = Float(Double(bias.value.pointer[c]) - mean * factor)
        coefficients.factor(image)[c] = Float(inverse)
        coefficients.shift(image)[c] = Float(-mean * inverse)
      }
    }
  }

  /// Adds to the gradients of weight and bias, and returns that of the input.
  private func backward(_ x: Tensor, _ dy: Tensor, _ coefficients: Coefficients, _ plan: Plan, silu: Bool)
    -> Tensor
  {
    let (rows, channels) = (plan.rows, plan.channels)
    let dx = Tensor(uninitialized: x.shape)
    let sums = ChannelSums(plan)
    let slope = Tensor(uninitialized: [plan.images, channels])
    let constant = Tensor(uninitialized: [plan.images, channels])

    plan.forEachGroup { images in
      plan.forEachChunk(of: images) { chunk in
        let (image, c) = (chunk.image, chunk.channel)
        let sum = sums.partial(chunk.slot)
        let (input, gradient) = (x.pointer + chunk.start, dy.pointer + chunk.start)
        let (factor, shift) = (coefficients.factor(image) + c, coefficients.shift(image) + c)
        if silu {
          peco_group_norm_silu_sums(
            input, gradient, coefficients.scale(image) + c, coefficients.offset(image) + c, factor, shift,
            chunk.rows, plan.run, sum, sum + plan.run)
        } else {
          peco_group_norm_sums(input, gradient, factor, shift, chunk.rows, plan.run, sum, sum + plan.run)
        }
      }
      for image in images {
        sums.add(of: image)
        let at = image * channels
        let width = channels / groups
        for group in 0..<groups {
          let members = group * width..<(group + 1) * width
          func mean(_ sum: (Int, Int) -> Double) -> Double {
            members.reduce(0.0) { $0 + Double(weight.value.pointer[$1]) * sum(image, $1) }
              / Double(rows * width)
          }
          let (gradientMean, productMean) = (mean(sums.first), mean(sums.second))
          // dx = (γ·dy − mean(γ·dy) − x̂ · mean(γ·dy·x̂)) / σ, with x̂ = x · factor + shift.
          for c in members {
            let inverse = Double(coefficients.factor(image)[c])
            let shift = Double(coefficients.shift(image)[c])
            slope.pointer[at + c] = Float(-inverse * inverse * productMean)
            constant.pointer[at + c] = Float(-inverse * (gradientMean + shift * productMean))
          }
        }
      }
      plan.forEachChunk(of: images) { chunk in
        let (image, c) = (chunk.image, chunk.channel)
        let (input, gradient) = (x.pointer + chunk.start, dy.pointer + chunk.start)
        let (a, b) = (slope.pointer + image * channels + c, constant.pointer + image * channels + c)
        if silu {
          peco_group_norm_silu_backward(
            dx.pointer + chunk.start, input, gradient, coefficients.scale(image) + c,
            coefficients.offset(image) + c, a, b, chunk.rows, plan.run)
        } else {
          peco_group_norm_backward(
            dx.pointer + chunk.start, input, gradient, coefficients.scale(image) + c, a, b, chunk.rows,
            plan.run)
        }
      }
    }
    for image in 0..<plan.images {
      for c in 0..<channels {
        bias.gradient?.pointer[c] += Float(sums.first(image, c))
        weight.gradient?.pointer[c] += Float(sums.second(image, c))
      }
    }
    return dx
  }
}

/// How the work on a batch is cut: images in groups that stay in cache between two passes over them, and each
/// image's planes (its blocks of channels; one where channels lie last) in chunks of rows of pixels. The cut does
/// not depend on the number of threads.
private struct Plan {
  let images, rows, channels, chunks, group: Int
  /// Planes of an image, and channels of a plane, which lie side by side.
  let blocks, run: Int

  /// A part of a plane.
  struct Chunk {
    let image: Int
    /// The first channel of the plane.
    let channel: Int
    /// Number of the chunk among all of the batch.
    let slot: Int
    /// First element of the plane, and of the chunk.
    let planeStart, start: Int
    /// Pixels of the chunk.
    let rows: Int
  }

  init(_ shape: [Int]) {
    let layout = ChannelLayout(shape)
    (images, rows, channels) = (layout.batch, layout.height * layout.width, layout.channels)
    (blocks, run) = (layout.blocks, layout.run)
    chunks = max(1, rows * run / (1 << 16))
    group = max(1, (1 << 20) / max(rows * channels, 1))
  }

  func forEachGroup(_ body: (Range<Int>) -> Void) {
    for start in stride(from: 0, to: images, by: group) { body(start..<min(start + group, images)) }
  }

  func forEachChunk(of group: Range<Int>, _ body: (Chunk) -> Void) {
    ThreadPool.current.forEach(group.count * blocks * chunks) { index in
      let (plane, chunk) = (group.lowerBound * blocks + index / chunks, index % chunks)
      let first = rows * chunk / chunks
      body(
        Chunk(
          image: plane / blocks, channel: plane % blocks * run, slot: plane * chunks + chunk,
          planeStart: plane * rows * run, start: (plane * rows + first) * run,
          rows: rows * (chunk + 1) / chunks - first))
    }
  }

  /// Where a channel's first pixel lies.
  func firstElement(of image: Int, channel: Int) -> Int {
    (image * blocks + channel / run) * rows * run + channel % run
  }
}

/// Two sums over the pixels of each channel of each image, gathered chunk by chunk.
private struct ChannelSums {
  private let plan: Plan
  private let scratch: DoubleSum

  init(_ plan: Plan) {
    self.plan = plan
    scratch = DoubleSum(count: 2 * plan.images * plan.chunks * plan.channels)
  }

  /// Where a chunk adds: the first sums of its channels, then the second.
  func partial(_ slot: Int) -> UnsafeMutablePointer<Double> { scratch.pointer + 2 * slot * plan.run }

  /// Adds the chunks of an image's planes into the first of each.
  func add(of image: Int) {
    for plane in image * plan.blocks..<(image + 1) * plan.blocks {
      let total = partial(plane * plan.chunks)
      for chunk in 1..<max(plan.chunks, 1) {
        for i in 0..<2 * plan.run { total[i] += total[2 * chunk * plan.run + i] }
      }
    }
  }

  func first(_ image: Int, _ channel: Int) -> Double { total(image, channel)[0] }
  func second(_ image: Int, _ channel: Int) -> Double { total(image, channel)[plan.run] }

  private func total(_ image: Int, _ channel: Int) -> UnsafeMutablePointer<Double> {
    partial((image * plan.blocks + channel / plan.run) * plan.chunks) + channel % plan.run
  }
}

/// For each image and channel: y = x · scale + offset, and the normalized value x̂ = x · factor + shift.
private struct Coefficients {
  private let values: Tensor
  private let channels: Int

  init(images: Int, channels: Int) {
    values = Tensor(uninitialized: [images, 4, channels])
    self.channels = channels
  }

  func scale(_ image: Int) -> UnsafeMutablePointer<Float> { values.pointer + 4 * image * channels }
  func offset(_ image: Int) -> UnsafeMutablePointer<Float> { scale(image) + channels }
  func factor(_ image: Int) -> UnsafeMutablePointer<Float> { scale(image) + 2 * channels }
  func shift(_ image: Int) -> UnsafeMutablePointer<Float> { scale(image) + 3 * channels }
}
