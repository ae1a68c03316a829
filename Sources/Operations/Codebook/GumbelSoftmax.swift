import CKernels
@_spi(TensorMemory) import Tensors

/// The noise of a step's Gumbel-softmax samples.
///
/// A draw depends on the seed, the step, the sample's index in the dataset and its place in the sample, and on nothing
/// else, so that it is the same however the batch is split.
public struct GumbelNoise: Sendable {
  /// Seed of the run.
  public var seed: UInt64
  /// Step of the run.
  public var step: Int
  /// Dataset index of each sample of the batch.
  public var samples: [Int]

  /// The noise of one step for the samples with the given dataset indices.
  public init(seed: UInt64, step: Int, samples: [Int]) {
    self.seed = seed
    self.step = step
    self.samples = samples
  }

  /// Independent draws of the standard Gumbel distribution, −log(−log u) with u uniform, of `shape`
  /// [samples.count, ...].
  public func callAsFunction(_ shape: [Int]) -> Tensor {
    precondition(shape.first == samples.count, "noise for \(samples.count) samples has not shape \(shape)")
    let noise = Tensor(uninitialized: shape)
    let size = shape.dropFirst().reduce(1, *)
    // A counter holds 2³² blocks of four; no sample is near it. Pieces are whole vectors of counters.
    let piece = 1 << 14
    let pieces = (size + piece - 1) / piece
    ThreadPool.current.forEachRange(of: samples.count * pieces) { range in
      for number in range {
        let (sample, part) = number.quotientAndRemainder(dividingBy: pieces)
        let first = part * piece
        peco_gumbel_noise(
          noise.pointer + sample * size + first, seed, RandomPurpose.gumbel.rawValue,
          UInt32(truncatingIfNeeded: step), UInt32(truncatingIfNeeded: samples[sample]), first,
          min(piece, size - first))
      }
    }
    return noise
  }
}

/// softmax((logits + noise) / temperature) over the last axis: a sample of the relaxed categorical distribution of
/// `logits`, differentiable in them (Jang et al., 1611.01144; Maddison et al., 1611.00712).
public func gumbelSoftmax(_ logits: Tensor, noise: Tensor, temperature: Float) -> Tensor {
  precondition(logits.shape == noise.shape, "noise of \(noise.shape) for logits of \(logits.shape)")
  let width = logits.shape.last ?? 1
  let rows = logits.count / max(width, 1)
  let y = Tensor(uninitialized: logits.shape)
  ThreadPool.current.forEachRange(of: rows, grain: rowGrain(width)) { range in
    let row = Tensor(uninitialized: [width])
    for r in range {
      let i = r * width
      peco_add_then_scale(row.pointer, logits.pointer + i, noise.pointer + i, 1 / temperature, width)
      peco_softmax(y.pointer + i, row.pointer, 1, width)
    }
  }
  let value = y.detached
  return Tape.record(y, from: [logits]) { dy in
    let gradient = Tensor(uninitialized: value.shape)
    ThreadPool.current.forEachRange(of: rows, grain: rowGrain(width)) { range in
      let (i, count) = (range.lowerBound * width, range.count * width)
      peco_softmax_gradient(gradient.pointer + i, value.pointer + i, dy.pointer + i, range.count, width)
      peco_scale(gradient.pointer + i, gradient.pointer + i, 1 / temperature, count)
    }
    logits.addGradient(gradient)
  }
}

/// The mean over rows of KL(softmax(logits) ‖ uniform), in nats, a scalar; 0 where all classes are alike, log of their
/// number where one has it all.
public func uniformDivergence(_ logits: Tensor) -> Tensor {
  let width = logits.shape.last ?? 1
  let rows = logits.count / max(width, 1)
  let (normalizer, negentropy) = (Tensor(uninitialized: [rows]), Tensor(uninitialized: [rows]))
  // Blocks of rows that do not depend on the number of threads.
  let block = rowGrain(width)
  let partial = DoubleSum(count: (rows + block - 1) / block)
  ThreadPool.current.forEach(partial.count) { index in
    let first = index * block
    partial.pointer[index] = peco_uniform_divergence(
      normalizer.pointer + first, negentropy.pointer + first, logits.pointer + first * width,
      min(block, rows - first), width)
  }
  let total = (0..<partial.count).reduce(0) { $0 + partial.pointer[$1] }
  return Tape.record(Tensor(Float(total / Double(max(rows, 1)))), from: [logits]) { dloss in
    let scale = dloss.item / Float(max(rows, 1))
    let gradient = Tensor(uninitialized: logits.shape)
    ThreadPool.current.forEachRange(of: rows, grain: block) { range in
      let first = range.lowerBound
      peco_uniform_divergence_gradient(
        gradient.pointer + first * width, logits.pointer + first * width, normalizer.pointer + first,
        negentropy.pointer + first, scale, range.count, width)
    }
    logits.addGradient(gradient)
  }
}

/// The index of the greatest element of each row (the last axis), the first of several.
public func argmax(_ x: Tensor) -> [Int32] {
  let width = x.shape.last ?? 1
  let rows = x.count / max(width, 1)
  return [Int32](unsafeUninitializedCapacity: rows) { indices, count in
    let base = indices.baseAddress
    ThreadPool.current.forEachRange(of: rows, grain: rowGrain(width)) { range in
      guard let base else { return }
      let first = range.lowerBound
      peco_row_maximum(base + first, x.pointer + first * width, range.count, width)
    }
    count = rows
  }
}
