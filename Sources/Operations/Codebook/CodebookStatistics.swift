import CKernels
@_spi(TensorMemory) import Tensors

/// Counts how many vectors went to each entry of a codebook and, if asked for, sums those vectors, in double precision.
///
/// - Parameters:
///   - z: The vectors, [..., length].
///   - indices: The entry that each went to.
///   - statistics: Where counts [entries] and then sums [entries, length] are added.
///   - entries: Number of entries of the codebook.
///   - withSums: Whether vectors are summed; `statistics` has no place for sums otherwise.
public func addAssignments(
  of z: Tensor, to indices: [Int32], into statistics: DoubleSum, entries: Int, withSums: Bool
) {
  let length = z.shape.last ?? 1
  precondition(
    z.count == indices.count * length && statistics.count == entries * (withSums ? 1 + length : 1),
    "\(indices.count) entries for \(z.shape), \(statistics.count) sums for \(entries) entries")
  // Vectors in the order of their entries, so that each entry sums its own, in their order, on one thread.
  var starts = [Int](repeating: 0, count: entries + 1)
  for entry in indices { starts[Int(entry) + 1] += 1 }
  for entry in 0..<entries { starts[entry + 1] += starts[entry] }
  var next = starts
  var order = [Int](repeating: 0, count: indices.count)
  for (i, entry) in indices.enumerated() {
    order[next[Int(entry)]] = i
    next[Int(entry)] += 1
  }
  let counts = statistics.pointer
  let sums = statistics.pointer + entries
  ThreadPool.current.forEachRange(of: entries, grain: 64) { range in
    for entry in range where starts[entry] < starts[entry + 1] {
      counts[entry] += Double(starts[entry + 1] - starts[entry])
      if !withSums { continue }
      for place in starts[entry]..<starts[entry + 1] {
        peco_add_to_double(sums + entry * length, z.pointer + order[place] * length, length)
      }
    }
  }
}

/// Moves the averages of a codebook that follows its vectors by the statistics of a step, and computes the entries anew
/// (van den Oord et al., 1711.00937, appendix A.1).
///
/// - Parameters:
///   - codebook: The entries, [entries, length]; left alone without `average`.
///   - average: Moving average of the sum of the vectors that go to each entry, [entries, length]; nil where entries do
///     not follow them.
///   - sizes: Moving average of how many vectors a step go to each entry, [entries].
///   - statistics: Counts and sums of the step, as `addAssignments` adds them, of all ranks.
///   - decay: How much of the averages a step keeps.
///   - epsilon: Laplace smoothing of the sizes.
public func moveCodebook(
  _ codebook: Tensor, average: Tensor?, sizes: Tensor, by statistics: DoubleSum, decay: Double, epsilon: Float
) {
  let (entries, length) = (codebook.shape[0], codebook.shape[1])
  let (sizes, counts) = (sizes.pointer, statistics.pointer)
  var total = 0.0
  for entry in 0..<entries {
    sizes[entry] = movedAverage(sizes[entry], toward: counts[entry], momentum: decay)
    total += Double(sizes[entry])
  }
  guard let averages = average?.pointer else { return }
  let (sums, codebook) = (statistics.pointer + entries, codebook.pointer)
  let smoothing = total / (total + Double(entries) * Double(epsilon))
  ThreadPool.current.forEachRange(of: entries, grain: 64) { range in
    for entry in range {
      let average = averages + entry * length
      peco_moving_average_double(average, sums + entry * length, decay, length)
      // An entry that has no vectors stays where it is.
      guard sizes[entry] > 0 else { continue }
      let size = (Double(sizes[entry]) + Double(epsilon)) * smoothing
      peco_scale(codebook + entry * length, average, Float(1 / size), length)
    }
  }
}
