import Communication
import Foundation

func probeCollectives(_ ranks: Communicator) throws {
  let (rank, size) = (ranks.rank, ranks.size)
  try expect(size == Int(ProcessInfo.processInfo.environment["OMPI_COMM_WORLD_SIZE"] ?? ""), "all ranks")
  try expect(ranks.localSize == size && ranks.localRank == rank, "one node")

  // Reductions, the longest one of several MPI calls.
  let triangle = size * (size + 1) / 2
  try expect(try ranks.allReduce(.sum, Int64(rank + 1)) == Int64(triangle), "integer sum")
  try expect(try ranks.allReduce(.max, Double(rank)) == Double(size - 1), "maximum")
  try expect(try ranks.allReduce(.min, Float(rank)) == 0, "minimum")
  for count in [1, 1000, 4_200_001] {
    let sums = try ranks.allReduce(.sum, (0..<count).map { Float(($0 % 7) * (rank + 1)) })
    try expect(sums.indices.allSatisfy { sums[$0] == Float(($0 % 7) * triangle) }, "sum of \(count) floats")
  }
  // As bfloat16: within its bound, and the same on all ranks.
  var rough = (0..<2_500_001).map { Float(($0 * 7 + rank * 13) % 1009 - 504) / 504 }
  let exact = try ranks.allReduce(.sum, rough.map(Double.init))
  let sizes = try ranks.allReduce(.sum, rough.map { Double(abs($0)) })
  let count = rough.count
  try rough.withUnsafeMutableBufferPointer { buffer in
    if let base = buffer.baseAddress { try BFloat16Sum().allReduce(base, count: count, over: ranks) }
  }
  let bound = size == 1 ? 0 : Double(size) / 256
  try expect(
    rough.indices.allSatisfy { abs(Double(rough[$0]) - exact[$0]) <= bound * sizes[$0] + 1e-30 },
    "sum of bfloat16")
  try expect(size == 1 || rough.contains { $0 != rough[0] }, "sums differ")
  var first = rough
  try first.withUnsafeMutableBufferPointer { buffer in
    if let base = buffer.baseAddress { try ranks.broadcast(base, count: buffer.count, from: 0) }
  }
  try expect(first == rough, "the same sums of bfloat16")
  // Broadcasts from the last rank.
  let last = size - 1
  var floats = [Float](repeating: Float(rank), count: 4_200_001)
  try floats.withUnsafeMutableBufferPointer { buffer in
    if let base = buffer.baseAddress { try ranks.broadcast(base, count: buffer.count, from: last) }
  }
  try expect(floats.allSatisfy { $0 == Float(last) }, "broadcast floats")
  let token = try ranks.broadcast(rank == last ? "Wörter 🙂" : "", from: last)
  try expect(token == "Wörter 🙂", "broadcast string")
  try expect(try ranks.broadcast(bytes: rank == 0 ? [] : [1, 2]) == [], "broadcast nothing")

  // Gathers of different lengths, nothing included.
  try expect(try ranks.allGather(Int64(rank)) == (0..<size).map { Int64($0) }, "all-gather numbers")
  let tokens = (0..<size).map { String(repeating: "é", count: $0) }
  func row(_ rank: Int) -> [Float] { (1...3).map { Float($0 * rank) } }
  var gathered = [Float](repeating: -1, count: 3 * size)
  try ranks.allGather(row(rank), count: 3, into: &gathered)
  let expected = (0..<size).flatMap(row)
  try expect(gathered == expected, "all-gather floats")
  try expect(try ranks.allGather(tokens[rank]) == tokens, "all-gather strings")
  try expect(try ranks.gather(tokens[rank], to: last) == (rank == last ? tokens : nil), "gather strings")

  // A duplicate speaks beside the original.
  let second = try ranks.duplicate()
  let thread = Thread {
    do {
      for _ in 0..<200 { _ = try second.allReduce(.sum, Float(1)) }
    } catch { second.fail(error) }
  }
  thread.start()
  for _ in 0..<200 {
    try expect(try ranks.allReduce(.sum, Float(2)) == Float(2 * size), "sum beside another")
  }
  while !thread.isFinished { usleep(100) }
  second.finish()
  try ranks.barrier()
  if ranks.isRoot { print("collectives on \(size) ranks: passed") }
}

/// Prints the bandwidth of in-place sums, for a person who looks into the machine.
func measureBandwidth(_ ranks: Communicator) throws {
  for megabytes in [1, 4, 16, 64, 368] {
    let count = megabytes << 18
    let buffer = UnsafeMutablePointer<Float>.allocate(capacity: count)
    defer { buffer.deallocate() }
    buffer.initialize(repeating: 0, count: count)
    try ranks.allReduce(.sum, buffer, count: count)
    try ranks.barrier()
    let start = ContinuousClock.now
    let repeats = max(3, 368 / megabytes)
    for _ in 0..<repeats { try ranks.allReduce(.sum, buffer, count: count) }
    let elapsed = (ContinuousClock.now - start) / repeats
    if ranks.isRoot { print("\(megabytes) MiB: \(Double(count * 4) / (elapsed / .seconds(1)) / 1e9) GB/s") }
  }
}
