import CKernels
@_spi(TensorMemory) import Tensors

/// The sequences of a transformer: embeddings of patches, class tokens and mask tokens at their places, plus absolute
/// position embeddings: [samples, tokens, width].
///
/// - Parameters:
///   - embedded: [rows, width], the embeddings of the patches that are shown.
///   - sources: For each token of each sample the row of `embedded` that it shows: -1 for the class token, -2 for the
///     mask token.
///   - samples: Number of sequences.
///   - tokens: Length of a sequence, class token included.
///   - classToken: [..., width] of one row.
///   - maskToken: The same, for masked patches; nil where none is masked.
///   - positions: [1, tokens, width]; nil for none.
public func assembleTokens(
  _ embedded: Tensor, sources: [Int], samples: Int, tokens: Int, classToken: Parameter,
  maskToken: Parameter?, positions: Parameter?
) -> Tensor {
  let width = classToken.count
  precondition(
    sources.count == samples * tokens, "\(sources.count) sources for \(samples) · \(tokens) tokens")
  let y = Tensor(uninitialized: [samples, tokens, width])
  ThreadPool.current.forEachRange(of: samples * tokens, grain: rowGrain(width)) { range in
    for token in range {
      let row = sources[token]
      let from =
        row >= 0 ? embedded.pointer + row * width : (row == -1 ? classToken : maskToken)?.value.pointer
      guard let from else { continue }
      if let positions {
        peco_add(
          y.pointer + token * width, from, positions.value.pointer + token % tokens * width, width)
      } else {
        (y.pointer + token * width).update(from: from, count: width)
      }
    }
  }
  let parameters = [classToken] + [maskToken, positions].compactMap { $0 }
  return Tape.record(y, from: [embedded], parameters: parameters) { dy in
    let sums = [
      RowSum(classToken.gradient, count: width), RowSum(maskToken?.gradient, count: width),
    ]
    accumulateOverRows(samples * tokens, grain: rowGrain(width), into: sums) { range, sums in
      for token in range where sources[token] < 0 {
        peco_add_in_place(sums[-1 - sources[token]], dy.pointer + token * width, width)
      }
    }
    if let gradient = positions?.gradient {
      ThreadPool.current.forEachRange(of: tokens * width, grain: 1 << 14) { range in
        for sample in 0..<samples {
          peco_add_in_place(
            gradient.pointer + range.lowerBound,
            dy.pointer + sample * tokens * width + range.lowerBound, range.count)
        }
      }
    }
    guard embedded.needsGradient else { return }
    let gradient = Tensor(uninitialized: embedded.shape)
    ThreadPool.current.forEachRange(of: samples * tokens, grain: rowGrain(width)) { range in
      for token in range where sources[token] >= 0 {
        (gradient.pointer + sources[token] * width).update(from: dy.pointer + token * width, count: width)
      }
    }
    embedded.addGradient(gradient)
  }
}
