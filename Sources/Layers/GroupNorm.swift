import CKernels
import Foundation
import Tensors

/// Group normalisation over pictures with channels last (Wu and He, "Group Normalization", 2018), optionally
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

  /// A normalisation of `channels` in `groups` equal parts.
  public init(groups: Int, channels: Int, epsilon: Float = 1e-6, in scope: ParameterScope) {
    precondition(channels % groups == 0, "\(channels) channels cannot be cut into \(groups) groups")
    weight = scope.parameter("weight", [channels], .ones)
    bias = scope.parameter("bias", [channels], .zeros)
    self.groups = groups
    self.epsilon = epsilon
  }

  /// [batch, height, width, channels], each group of channels of each picture to mean 0 and variance 1, then
  /// scaled and shifted by channel.
  public func callAsFunction(_ x: Tensor) -> Tensor { normalize(x, silu: false) }

  /// The normalisation followed by SiLU.
  public func withSiLU(_ x: Tensor) -> Tensor { normalize(x, silu: true) }

  private func normalize(_ x: Tensor, silu: Bool) -> Tensor {
    let plan = Plan(x.shape)
    precondition(
      plan.channels == weight.count, "\(plan.channels) channels, where \(weight.count) are expected")
    let coefficients = Coefficients(pictures: plan.pictures, channels: plan.channels)
    let y = Tensor(uninitialized: x.shape)
    let (rows, channels) = (plan.rows, plan.channels)
    let sums = DoubleScratch(plan.partialCount * 2)

    plan.forEachGroup { pictures in
      plan.forEachChunk(of: pictures) { picture, slot, range in
        // Sums about a value of the channel itself keep the digits of the variance where the mean is large.
        let first = x.pointer + picture * rows * channels
        let sum = sums.pointer + 2 * slot * channels
        peco_channel_moments(
          first + range.lowerBound * channels, first, range.count, channels, sum, sum + channels)
      }
      for picture in pictures {
        let total = plan.total(of: picture, in: sums)
        setCoefficients(
          coefficients, of: picture, sum: total, square: total + channels,
          about: x.pointer + picture * rows * channels, rows: rows)
      }
      plan.forEachChunk(of: pictures) { picture, _, range in
        let start = (picture * rows + range.lowerBound) * channels
        let (scale, offset) = (coefficients.scale(picture), coefficients.offset(picture))
        if silu {
          peco_channel_affine_silu(
            y.pointer + start, x.pointer + start, scale, offset, range.count, channels)
        } else {
          peco_channel_affine(y.pointer + start, x.pointer + start, scale, offset, range.count, channels)
        }
      }
    }

    return Tape.record(y, from: [x], parameters: [weight, bias]) { dy in
      x.addGradient(backward(x, dy, coefficients, plan, silu: silu))
    }
  }

  /// From Σ(x − s) and Σ(x − s)² of each channel, the affine map that normalises it.
  private func setCoefficients(
    _ coefficients: Coefficients, of picture: Int, sum: UnsafeMutablePointer<Double>,
    square: UnsafeMutablePointer<Double>, about shift: UnsafeMutablePointer<Float>, rows: Int
  ) {
    let width = weight.count / groups
    let count = Double(rows * width)
    for group in 0..<groups {
      let members = group * width..<(group + 1) * width
      let mean = members.reduce(0.0) { $0 + sum[$1] + Double(rows) * Double(shift[$1]) } / count
      let squares = members.reduce(0.0) { total, c in
        let d = mean - Double(shift[c])
        return total + square[c] - 2 * d * sum[c] + Double(rows) * d * d
      }
      let inverse = 1 / (max(squares, 0) / count + Double(epsilon)).squareRoot()
      for c in members {
        let factor = Double(weight.value.pointer[c]) * (squares.isNaN ? .nan : inverse)
        coefficients.scale(picture)[c] = Float(factor)
        coefficients.offset(picture)[c] = Float(Double(bias.value.pointer[c]) - mean * factor)
        coefficients.factor(picture)[c] = Float(inverse)
        coefficients.shift(picture)[c] = Float(-mean * inverse)
      }
    }
  }

  /// Adds to the gradients of weight and bias, and returns that of the input.
  private func backward(_ x: Tensor, _ dy: Tensor, _ coefficients: Coefficients, _ plan: Plan, silu: Bool)
    -> Tensor
  {
    let (rows, channels) = (plan.rows, plan.channels)
    let dx = Tensor(uninitialized: x.shape)
    let sums = DoubleScratch(plan.partialCount * 2)
    let slope = Tensor(uninitialized: [plan.pictures, channels])
    let constant = Tensor(uninitialized: [plan.pictures, channels])

    plan.forEachGroup { pictures in
      plan.forEachChunk(of: pictures) { picture, slot, range in
        let start = (picture * rows + range.lowerBound) * channels
        let sum = sums.pointer + 2 * slot * channels
        let (factor, shift) = (coefficients.factor(picture), coefficients.shift(picture))
        if silu {
          peco_group_norm_silu_sums(
            x.pointer + start, dy.pointer + start, coefficients.scale(picture), coefficients.offset(picture),
            factor, shift, range.count, channels, sum, sum + channels)
        } else {
          peco_group_norm_sums(
            x.pointer + start, dy.pointer + start, factor, shift, range.count, channels, sum, sum + channels)
        }
      }
      for picture in pictures {
        let sum = plan.total(of: picture, in: sums)
        let product = sum + channels
        let at = picture * channels
        let width = channels / groups
        for group in 0..<groups {
          let members = group * width..<(group + 1) * width
          let gradientMean =
            members.reduce(0.0) { $0 + Double(weight.value.pointer[$1]) * sum[$1] } / Double(rows * width)
          let productMean =
            members.reduce(0.0) { $0 + Double(weight.value.pointer[$1]) * product[$1] } / Double(rows * width)
          // dx = (γ·dy − mean(γ·dy) − x̂ · mean(γ·dy·x̂)) / σ, with x̂ = x · factor + shift.
          for c in members {
            let inverse = Double(coefficients.factor(picture)[c])
            let shift = Double(coefficients.shift(picture)[c])
            slope.pointer[at + c] = Float(-inverse * inverse * productMean)
            constant.pointer[at + c] = Float(-inverse * (gradientMean + shift * productMean))
          }
        }
      }
      plan.forEachChunk(of: pictures) { picture, _, range in
        let start = (picture * rows + range.lowerBound) * channels
        let (a, b) = (slope.pointer + picture * channels, constant.pointer + picture * channels)
        if silu {
          peco_group_norm_silu_backward(
            dx.pointer + start, x.pointer + start, dy.pointer + start, coefficients.scale(picture),
            coefficients.offset(picture), a, b, range.count, channels)
        } else {
          peco_group_norm_backward(
            dx.pointer + start, x.pointer + start, dy.pointer + start, coefficients.scale(picture), a, b,
            range.count, channels)
        }
      }
    }
    for picture in 0..<plan.pictures {
      let sum = plan.firstPartial(of: picture, in: sums)
      for c in 0..<channels {
        bias.gradient?.pointer[c] += Float(sum[c])
        weight.gradient?.pointer[c] += Float(sum[channels + c])
      }
    }
    return dx
  }
}

/// How the work on a batch is cut: pictures in groups that stay in cache between two passes over them, and each
/// picture in chunks of rows of pixels. The cut does not depend on the number of threads.
private struct Plan {
  let pictures, rows, channels, chunks, group: Int

  init(_ shape: [Int]) {
    precondition(shape.count == 4, "group normalisation takes [batch, height, width, channels], not \(shape)")
    (pictures, rows, channels) = (shape[0], shape[1] * shape[2], shape[3])
    chunks = max(1, rows * channels / (1 << 16))
    group = max(1, (1 << 20) / max(rows * channels, 1))
  }

  /// Number of partial sums, one a channel, chunk and picture.
  var partialCount: Int { pictures * chunks * channels }

  func forEachGroup(_ body: (Range<Int>) -> Void) {
    for start in stride(from: 0, to: pictures, by: group) { body(start..<min(start + group, pictures)) }
  }

  func forEachChunk(of group: Range<Int>, _ body: (_ picture: Int, _ slot: Int, _ rows: Range<Int>) -> Void) {
    ThreadPool.shared.forEach(group.count * chunks) { index in
      let (picture, chunk) = (group.lowerBound + index / chunks, index % chunks)
      body(picture, picture * chunks + chunk, rows * chunk / chunks..<rows * (chunk + 1) / chunks)
    }
  }

  func firstPartial(of picture: Int, in sums: DoubleScratch) -> UnsafeMutablePointer<Double> {
    sums.pointer + 2 * picture * chunks * channels
  }

  /// Adds the partial sums of a picture into its first.
  func total(of picture: Int, in sums: DoubleScratch) -> UnsafeMutablePointer<Double> {
    let total = firstPartial(of: picture, in: sums)
    for chunk in 1..<max(chunks, 1) {
      for c in 0..<2 * channels { total[c] += total[2 * chunk * channels + c] }
    }
    return total
  }
}

/// For each picture and channel: y = x · scale + offset, and the normalised value x̂ = x · factor + shift.
private struct Coefficients {
  private let values: Tensor
  private let channels: Int

  init(pictures: Int, channels: Int) {
    values = Tensor(uninitialized: [pictures, 4, channels])
    self.channels = channels
  }

  func scale(_ picture: Int) -> UnsafeMutablePointer<Float> { values.pointer + 4 * picture * channels }
  func offset(_ picture: Int) -> UnsafeMutablePointer<Float> { scale(picture) + channels }
  func factor(_ picture: Int) -> UnsafeMutablePointer<Float> { scale(picture) + 2 * channels }
  func shift(_ picture: Int) -> UnsafeMutablePointer<Float> { scale(picture) + 3 * channels }
}
