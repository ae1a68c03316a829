@_spi(TensorMemory) import Tensors

/// The row of a table of relative positions for each pair of tokens, [tokens · tokens]: a row for each offset of two
/// patches on a grid, then class token to patch, patch to class token, class token to itself (BEiT).
public func relativePositionRows(gridHeight: Int, gridWidth: Int, classToken: Bool = true) -> [Int32] {
  let first = classToken ? 1 : 0
  let offsets = (2 * gridHeight - 1) * (2 * gridWidth - 1)
  let tokens = gridHeight * gridWidth + first
  var rows = [Int32](repeating: 0, count: tokens * tokens)
  for i in first..<tokens {
    let (row, column) = (i - first).quotientAndRemainder(dividingBy: gridWidth)
    for j in first..<tokens {
      let (otherRow, otherColumn) = (j - first).quotientAndRemainder(dividingBy: gridWidth)
      let down = row - otherRow + gridHeight - 1
      let right = column - otherColumn + gridWidth - 1
      rows[i * tokens + j] = Int32(down * (2 * gridWidth - 1) + right)
    }
  }
  if classToken {
    for j in 0..<tokens { rows[j] = Int32(offsets) }
    for i in 0..<tokens { rows[i * tokens] = Int32(offsets + 1) }
    rows[0] = Int32(offsets + 2)
  }
  return rows
}

/// The bias of attention for every pair of tokens, [heads, tokens, tokens], from a table of relative positions (BEiT;
/// after Swin Transformer).
///
/// - Parameters:
///   - table: [offsets, heads]
///   - rows: The table's row for each pair of tokens (`relativePositionRows`).
///   - tokens: Number of tokens, whose square is the number of rows.
public func relativePositionBias(_ table: Tensor, rows: [Int32], tokens: Int) -> Tensor {
  let target = table.gradientTarget
  return Tape.record(bias(table, rows, tokens), from: [table]) { dy in
    let gradient = Tensor(target.shape)
    addGradient(dy, rows, to: gradient)
    target.add(gradient)
  }
}

/// The same from a table that is a parameter.
///
/// - Parameters:
///   - table: [offsets, heads]
///   - rows: The table's row for each pair of tokens (`relativePositionRows`).
///   - tokens: Number of tokens, whose square is the number of rows.
///   - x: Any tensor of the tape that is to record this.
public func relativePositionBias(
  _ table: Parameter, rows: [Int32], tokens: Int, alongside x: Tensor
) -> Tensor {
  Tape.record(bias(table.value, rows, tokens), from: [x], parameters: [table]) { dy in
    if let gradient = table.gradient { addGradient(dy, rows, to: gradient) }
  }
}

private func bias(_ table: Tensor, _ rows: [Int32], _ tokens: Int) -> Tensor {
  let heads = table.shape[1]
  precondition(rows.count == tokens * tokens, "\(rows.count) rows for the pairs of \(tokens) tokens")
  let bias = Tensor(uninitialized: [heads, tokens, tokens])
  forEachHead(heads, rows) { head, rows in
    let plane = bias.pointer + head * rows.count
    for pair in rows.indices { plane[pair] = table.pointer[Int(rows[pair]) * heads + head] }
  }
  return bias
}

private func addGradient(_ dy: Tensor, _ rows: [Int32], to gradient: Tensor) {
  let heads = gradient.shape[1]
  forEachHead(heads, rows) { head, rows in
    let plane = dy.pointer + head * rows.count
    for pair in rows.indices { gradient.pointer[Int(rows[pair]) * heads + head] += plane[pair] }
  }
}

private func forEachHead(_ heads: Int, _ rows: [Int32], _ body: (Int, UnsafeBufferPointer<Int32>) -> Void) {
  rows.withUnsafeBufferPointer { rows in
    ThreadPool.current.forEachRange(of: heads, grain: rowGrain(rows.count)) { range in
      for head in range { body(head, rows) }
    }
  }
}
