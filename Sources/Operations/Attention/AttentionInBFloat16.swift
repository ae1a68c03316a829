import CKernels
@_spi(TensorMemory) import Tensors

extension AttentionShape {
  func forward(_ x: AttentionOperands<UInt16>, bias: Tensor?, output: Tensor, _ trace: AttentionTrace) {
    let stride = weightStride(.bfloat16)
    withPositions { positions in
      // Heads outermost: the samples of a head read the same bias.
      ThreadPool.current.forEach(heads * queries.count) { task in
        let (head, sample) = task.quotientAndRemainder(dividingBy: queries.count)
        let rows = queries[sample]
        if rows.isEmpty { return }
        let first = head * queryCount + rows.lowerBound
        let weights =
          trace.weights?.view(at: first * stride, shape: [rows.count, stride])
          ?? Tensor(uninitialized: [rows.count, stride], dtype: .bfloat16)
        let scores = scores(x.query, x.key, head, sample)
        let bias = biasRows(plane(bias, head), positions, of: rows.lowerBound, inSample: 0)
        peco_attention_softmax_bfloat16(
          weights.halves, stride, trace.normalizer.pointer + first, scores.pointer, scale, bias.matrix,
          bias.positions, rows.count, tokens)
        MatrixMultiply.serial(
          rows.count, headWidth, tokens, MatrixView(weights.halves, stride: stride),
          keyMatrix(x.value, head, sample),
          into: ProductTarget(
            output, at: rows.lowerBound * outputStride + head * headWidth, stride: outputStride))
      }
    }
  }

  /// Writes the gradients of the operands, and adds that of the bias to it.
  func backward(
    _ x: AttentionOperands<UInt16>, bias: Tensor?, _ trace: AttentionTrace, outputGradient: Tensor,
    into gradient: AttentionOperands<UInt16>
  ) {
    let (samples, groups) = (queries.count, sampleGroups)
    let stride = weightStride(.bfloat16)
    let pairs = tokens * tokens
    let biasGradient = bias.flatMap { $0.needsGradient ? Tensor([groups, heads, tokens, tokens]) : nil }
    withPositions { positions in
      ThreadPool.current.forEach(heads * groups) { task in
        let (head, group) = task.quotientAndRemainder(dividingBy: groups)
        let dbias = biasGradient.map { $0.pointer + (group * heads + head) * pairs }
        for sample in samples * group / groups..<samples * (group + 1) / groups {
          let rows = queries[sample]
          let count = rows.count
          let (dk, dv) = (
            keyTarget(gradient.key, head, sample), keyTarget(gradient.value, head, sample)
          )
          if rows.isEmpty {
            fillWithZeros(dk)
            fillWithZeros(dv)
            continue
          }
          let place = rows.lowerBound * outputStride + head * headWidth
          let dy = MatrixView(outputGradient.halves + place, stride: outputStride)
          let first = head * queryCount + rows.lowerBound
          let weights: Tensor
          if let kept = trace.weights {
            weights = kept.view(at: first * stride, shape: [count, stride])
          } else {
            weights = Tensor(uninitialized: [count, stride], dtype: .bfloat16)
            let scores = scores(x.query, x.key, head, sample)
            let bias = biasRows(plane(bias, head), positions, of: rows.lowerBound, inSample: 0)
            peco_attention_weights_bfloat16(
              weights.halves, stride, trace.normalizer.pointer + first, scores.pointer, scale, bias.matrix,
              bias.positions, count, tokens)
          }
          let p = MatrixView(weights.halves, stride: stride)
          MatrixMultiply.serial(tokens, headWidth, count, p.transpose, dy, into: dv)
          let dp = Tensor(uninitialized: [count, tokens])
          MatrixMultiply.serial(
            count, tokens, headWidth, dy, keyMatrix(x.value, head, sample).transpose,
            into: ProductTarget(dp, stride: tokens))
          // The gradient of the logits takes the place of the weights.
          let rowsOfBias = biasRows(dbias, positions, of: rows.lowerBound, inSample: 0)
          peco_attention_softmax_gradient_bfloat16(
            weights.halves, weights.halves, stride, dp.pointer, scale, rowsOfBias.matrix,
            rowsOfBias.positions,
            count, tokens)
          let dq = ProductTarget(
            gradient.query + rows.lowerBound * queryStride + head * headWidth, .bfloat16, stride: queryStride)
          MatrixMultiply.serial(count, headWidth, tokens, p, keyMatrix(x.key, head, sample), into: dq)
          MatrixMultiply.serial(
            tokens, headWidth, count, p.transpose, queryMatrix(x.query, head, rows), into: dk)
        }
      }
    }
    if let bias, let biasGradient { addBiasGradient(biasGradient, to: bias) }
  }

  /// q kᵀ of a head of a sample, in float32: [queries, keys].
  private func scores(
    _ query: UnsafeMutablePointer<UInt16>, _ key: UnsafeMutablePointer<UInt16>, _ head: Int, _ sample: Int
  ) -> Tensor {
    let rows = queries[sample]
    let scores = Tensor(uninitialized: [rows.count, tokens])
    MatrixMultiply.serial(
      rows.count, tokens, headWidth, queryMatrix(query, head, rows), keyMatrix(key, head, sample).transpose,
      into: ProductTarget(scores, stride: tokens))
    return scores
  }

  private func queryMatrix(
    _ base: UnsafeMutablePointer<UInt16>, _ head: Int, _ rows: Range<Int>
  ) -> MatrixView<UInt16> {
    MatrixView(base + rows.lowerBound * queryStride + head * headWidth, stride: queryStride)
  }

  private func keyMatrix(
    _ base: UnsafeMutablePointer<UInt16>, _ head: Int, _ sample: Int
  ) -> MatrixView<UInt16> {
    MatrixView(base + sample * tokens * keyStride + head * headWidth, stride: keyStride)
  }

  private func keyTarget(
    _ base: UnsafeMutablePointer<UInt16>, _ head: Int, _ sample: Int
  ) -> ProductTarget {
    ProductTarget(base + sample * tokens * keyStride + head * headWidth, .bfloat16, stride: keyStride)
  }

  private func fillWithZeros(_ target: ProductTarget) {
    let start = target.memory.assumingMemoryBound(to: UInt16.self)
    for row in 0..<tokens { (start + row * target.stride).update(repeating: 0, count: headWidth) }
  }
}
