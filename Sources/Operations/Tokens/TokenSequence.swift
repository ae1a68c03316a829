import CKernels
@_spi(TensorMemory) import Tensors

/// The tokens of each sample: one that all samples share, then those of its patches; with positions added.
///
/// - Parameters:
///   - first: The shared token, [..., width] of one row.
///   - patches: [samples · patches, width]
///   - positions: [1 + patches, width]; nil for none.
///   - samples: Number of samples; each has as many patches.
/// - Returns: [samples, 1 + patches, width]
public func tokenSequence(_ first: Tensor, _ patches: Tensor, positions: Tensor?, samples: Int) -> Tensor {
  let width = first.count
  let tokens = patches.count / max(samples * width, 1) + 1
  precondition(
    patches.count == samples * (tokens - 1) * width && (positions.map { $0.count == tokens * width } ?? true),
    "patches of \(patches.shape) and positions of \(positions?.shape ?? []) for \(samples) samples")
  let size = tokens * width
  let y = Tensor(uninitialized: [samples, tokens, width])
  ThreadPool.current.forEachRange(of: samples) { range in
    for sample in range {
      let place = y.pointer + sample * size
      let own = patches.pointer + sample * (size - width)
      if let positions {
        peco_add(place, first.pointer, positions.pointer, width)
        peco_add(place + width, own, positions.pointer + width, size - width)
      } else {
        place.update(from: first.pointer, count: width)
        (place + width).update(from: own, count: size - width)
      }
    }
  }
  let (firstTarget, patchTarget) = (first.gradientTarget, patches.gradientTarget)
  let positionTarget = positions?.gradientTarget
  return Tape.record(y, from: [patches, first] + (positions.map { [$0] } ?? [])) { dy in
    if patchTarget.isWanted {
      let gradient = Tensor(uninitialized: patchTarget.shape)
      ThreadPool.current.forEachRange(of: samples) { range in
        for sample in range {
          (gradient.pointer + sample * (size - width)).update(
            from: dy.pointer + sample * size + width, count: size - width)
        }
      }
      patchTarget.add(gradient)
    }
    guard firstTarget.isWanted || positionTarget?.isWanted == true else { return }
    // Samples in their order, whatever the threads.
    let sum = Tensor(positionTarget?.shape ?? [tokens, width])
    ThreadPool.current.forEachRange(of: size, grain: 1 << 14) { range in
      for sample in 0..<samples {
        peco_add_in_place(
          sum.pointer + range.lowerBound, dy.pointer + sample * size + range.lowerBound, range.count)
      }
    }
    firstTarget.add(sum.view(at: 0, shape: firstTarget.shape).copy())
    positionTarget?.add(sum)
  }
}
