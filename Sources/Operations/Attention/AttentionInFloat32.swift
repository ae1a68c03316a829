import CKernels
@_spi(TensorMemory) import Tensors

extension AttentionShape {
  func forward(_ x: AttentionOperands<Float>, bias: Tensor?, output: Tensor, _ trace: AttentionTrace) {
    withPositions { positions in
      // Heads outermost: the samples of a head read the same bias.
      ThreadPool.current.forEach(heads * queries.count) { task in
        let (head, sample) = task.quotientAndRemainder(dividingBy: queries.count)
        let rows = queries[sample]
        if rows.isEmpty { return }
        let first = head * queryCount + rows.lowerBound
        let matrix =
          trace.weights?.view(at: first * tokens, shape: [rows.count, tokens])
          ?? Tensor(uninitialized: [rows.count, tokens])
        let weights = matrix.pointer
        let q = queryMatrix(x.query, head, rows)
        let (k, v) = (keyMatrix(x.key, head, sample), keyMatrix(x.value, head, sample))
        let place = rows.lowerBound * outputStride + head * headWidth
        AttentionScores(q, k, keys: tokens, channels: headWidth, scale: scale).compute(
          rows.count, into: weights
        ) { strip in
          let row = strip.lowerBound
          let bias = biasRows(plane(bias, head), positions, of: rows.lowerBound + row, inSample: row)
          peco_attention_softmax(
            weights + row * tokens, trace.normalizer.pointer + first + row, bias.matrix, bias.positions,
            strip.count, tokens)
        }
        MatrixMultiply.serial(
          rows.count, headWidth, tokens, MatrixView(weights, stride: tokens), v.view(),
          into: MatrixView(output.pointer + place, stride: outputStride))
      }
    }
  }

  /// Writes the gradients of the operands, and adds that of the bias to it.
  func backward(
    _ x: AttentionOperands<Float>, bias: Tensor?, _ trace: AttentionTrace, outputGradient: Tensor,
    into gradient: AttentionOperands<Float>
  ) {
    let pool = ThreadPool.current
    let samples = queries.count
    let groups = sampleGroups
    let pairs = tokens * tokens
    let mostQueries = queries.reduce(0) { max($0, $1.count) }
    let biasGradient = bias.flatMap { $0.needsGradient ? Tensor([groups, heads, tokens, tokens]) : nil }
    withPositions { positions in
      pool.forEach(heads * groups) { task in
        let (head, group) = task.quotientAndRemainder(dividingBy: groups)
        let scratch = Tensor(uninitialized: [trace.weights == nil ? 2 : 1, mostQueries, tokens])
        let dp = scratch.pointer
        for sample in samples * group / groups..<samples * (group + 1) / groups {
          let rows = queries[sample]
          let count = rows.count
          let q = queryMatrix(x.query, head, rows)
          let (k, v) = (keyMatrix(x.key, head, sample), keyMatrix(x.value, head, sample))
          let dq = queryMatrix(gradient.query, head, rows)
          let (dk, dv) = (keyMatrix(gradient.key, head, sample), keyMatrix(gradient.value, head, sample))
          if rows.isEmpty {
            dk.fillWithZeros(rows: tokens, columns: headWidth)
            dv.fillWithZeros(rows: tokens, columns: headWidth)
            continue
          }
          let dy = StridedMatrix(
            pointer: outputGradient.pointer + rows.lowerBound * outputStride + head * headWidth,
            stride: outputStride)
          let first = head * queryCount + rows.lowerBound
          let p = trace.weights.map { $0.pointer + first * tokens } ?? dp + mostQueries * tokens
          let dpView = MatrixView(dp, stride: tokens)
          let (pTransposed, dpTransposed) = (
            MatrixView(p, stride: tokens, transposed: true),
            MatrixView(dp, stride: tokens, transposed: true)
          )
          if trace.weights == nil {
            AttentionScores(q, k, keys: tokens, channels: headWidth, scale: scale).compute(count, into: p) {
              strip in
              let row = strip.lowerBound
              let bias = biasRows(plane(bias, head), positions, of: rows.lowerBound + row, inSample: row)
              peco_attention_weights(
                p + row * tokens, trace.normalizer.pointer + first + row, bias.matrix, bias.positions,
                strip.count, tokens)
            }
          }
          MatrixMultiply.serial(tokens, headWidth, count, pTransposed, dy.view(), into: dv.view())
          let dbias = biasGradient.map { $0.pointer + (group * heads + head) * pairs }
          AttentionScores(dy, v, keys: tokens, channels: headWidth).compute(count, into: dp) { strip in
            let row = strip.lowerBound
            let bias = biasRows(dbias, positions, of: rows.lowerBound + row, inSample: row)
            peco_attention_softmax_gradient(
              dp + row * tokens, p + row * tokens, bias.matrix, bias.positions, strip.count, tokens)
          }
          MatrixMultiply.serial(count, headWidth, tokens, dpView, k.view(), into: dq.view(), alpha: scale)
          MatrixMultiply.serial(
            tokens, headWidth, count, dpTransposed, q.view(), into: dk.view(), alpha: scale)
        }
      }
    }
    if let bias, let biasGradient { addBiasGradient(biasGradient, to: bias) }
  }

  private func queryMatrix(
    _ base: UnsafeMutablePointer<Float>, _ head: Int, _ rows: Range<Int>
  ) -> StridedMatrix {
    StridedMatrix(pointer: base + rows.lowerBound * queryStride + head * headWidth, stride: queryStride)
  }

  private func keyMatrix(_ base: UnsafeMutablePointer<Float>, _ head: Int, _ sample: Int) -> StridedMatrix {
    StridedMatrix(pointer: base + sample * tokens * keyStride + head * headWidth, stride: keyStride)
  }
}
