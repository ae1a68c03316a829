import CKernels
import Operations
@_spi(TensorMemory) import Tensors

/// Group normalization over images with channels last, or in blocks of channels, as PyTorch's `group_norm` (Wu and He,
/// "Group Normalization", 2018), optionally followed by SiLU in the same pass. Images stay in their number format;
/// statistics are float64.
///
/// - Parameters:
///   - x: [batch, height, width, channels] or the same in blocks of channels.
///   - groups: How many equal parts the channels are cut into; each of each image gets mean 0 and variance 1.
///   - weight: Factor of each channel, [channels].
///   - bias: Offset of each channel, [channels].
///   - epsilon: Added to the variance.
///   - silu: Whether SiLU follows in the same pass.
public func groupNorm(
  _ x: Tensor, groups: Int, weight: Parameter, bias: Parameter, epsilon: Float, silu: Bool = false
) -> Tensor {
  GroupNormPass(weight: weight, bias: bias, groups: groups, epsilon: epsilon)(x, silu: silu)
}

/// One use of a group normalization, forward and backward.
private struct GroupNormPass {
  let weight, bias: Parameter
  let groups: Int
  let epsilon: Float

  func callAsFunction(_ x: Tensor, silu: Bool) -> Tensor {
    let plan = GroupNormPlan(x.shape)
    precondition(
      plan.channels == weight.count, "\(plan.channels) channels, where \(weight.count) are expected")
    let coefficients = GroupNormCoefficients(images: plan.images, channels: plan.channels)
    let y = Tensor(uninitialized: x.shape, dtype: x.dtype)
    let sums = GroupNormSums(plan)

    plan.forEachGroup { images in
      plan.forEachChunk(of: images) { chunk in
        // Sums about a value of the channel itself keep the digits of the variance where the mean is large.
        let sum = sums.partial(chunk.slot)
        let (start, plane) = (chunk.start, chunk.planeStart)
        switch x.dtype {
        case .float32:
          peco_channel_moments(
            x.pointer + start, x.pointer + plane, chunk.rows, plan.run, sum, sum + plan.run)
        case .bfloat16:
          peco_channel_moments_bfloat16(
            x.halves + start, x.halves + plane, chunk.rows, plan.run, sum, sum + plan.run)
        }
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
        let (start, rows, run) = (chunk.start, chunk.rows, plan.run)
        switch (x.dtype, silu) {
        case (.float32, true):
          peco_channel_affine_silu(y.pointer + start, x.pointer + start, scale, offset, rows, run)
        case (.float32, false):
          peco_channel_affine(y.pointer + start, x.pointer + start, scale, offset, rows, run)
        case (.bfloat16, true):
          peco_channel_affine_silu_bfloat16(y.halves + start, x.halves + start, scale, offset, rows, run)
        case (.bfloat16, false):
          peco_channel_affine_bfloat16(y.halves + start, x.halves + start, scale, offset, rows, run)
        }
      }
    }

    return Tape.record(y, from: [x], parameters: [weight, bias]) { dy in
      // Computed whether or not x wants it: weight and bias do.
      let dx = backward(x, dy, coefficients, plan, silu: silu)
      x.addGradient(dx)
    }
  }

  /// From Σ(x − s) and Σ(x − s)² of each channel, the affine map that normalizes it.
  private func setCoefficients(
    _ coefficients: GroupNormCoefficients, of image: Int, _ sums: GroupNormSums, about x: Tensor,
    _ plan: GroupNormPlan
  ) {
    let width = weight.count / groups
    let rows = Double(plan.rows)
    let count = rows * Double(width)
    func shift(_ c: Int) -> Double { Double(x.element(at: plan.firstElement(of: image, channel: c))) }
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
  private func backward(
    _ x: Tensor, _ dy: Tensor, _ coefficients: GroupNormCoefficients, _ plan: GroupNormPlan, silu: Bool
  )
    -> Tensor
  {
    let (rows, channels) = (plan.rows, plan.channels)
    let dx = Tensor(uninitialized: x.shape, dtype: x.dtype)
    let sums = GroupNormSums(plan)
    let slope = Tensor(uninitialized: [plan.images, channels])
    let constant = Tensor(uninitialized: [plan.images, channels])

    plan.forEachGroup { images in
      plan.forEachChunk(of: images) { chunk in
        let (image, c) = (chunk.image, chunk.channel)
        let sum = sums.partial(chunk.slot)
        let (start, rows, run) = (chunk.start, chunk.rows, plan.run)
        let (scale, offset) = (coefficients.scale(image) + c, coefficients.offset(image) + c)
        let (factor, shift) = (coefficients.factor(image) + c, coefficients.shift(image) + c)
        switch (x.dtype, silu) {
        case (.float32, true):
          peco_group_norm_silu_sums(
            x.pointer + start, dy.pointer + start, scale, offset, factor, shift, rows, run, sum, sum + run)
        case (.float32, false):
          peco_group_norm_sums(
            x.pointer + start, dy.pointer + start, factor, shift, rows, run, sum, sum + run)
        case (.bfloat16, true):
          peco_group_norm_silu_sums_bfloat16(
            x.halves + start, dy.halves + start, scale, offset, factor, shift, rows, run, sum, sum + run)
        case (.bfloat16, false):
          peco_group_norm_sums_bfloat16(
            x.halves + start, dy.halves + start, factor, shift, rows, run, sum, sum + run)
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
        let (start, rows, run) = (chunk.start, chunk.rows, plan.run)
        let (scale, offset) = (coefficients.scale(image) + c, coefficients.offset(image) + c)
        let (a, b) = (slope.pointer + image * channels + c, constant.pointer + image * channels + c)
        switch (x.dtype, silu) {
        case (.float32, true):
          peco_group_norm_silu_backward(
            dx.pointer + start, x.pointer + start, dy.pointer + start, scale, offset, a, b, rows, run)
        case (.float32, false):
          peco_group_norm_backward(
            dx.pointer + start, x.pointer + start, dy.pointer + start, scale, a, b, rows, run)
        case (.bfloat16, true):
          peco_group_norm_silu_backward_bfloat16(
            dx.halves + start, x.halves + start, dy.halves + start, scale, offset, a, b, rows, run)
        case (.bfloat16, false):
          peco_group_norm_backward_bfloat16(
            dx.halves + start, x.halves + start, dy.halves + start, scale, a, b, rows, run)
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
