import Communication
import Foundation

/// Parameters of random sizes, made ready in another random order on every rank, with some left out on some
/// ranks.
func probeReducer(_ communicator: Communicator, seed: UInt64) throws {
  var shared = Generator(state: seed)
  for _ in 0..<4 {
    var layout: [Range<Int>] = []
    var count = 0
    for _ in 0..<Int.random(in: 1...40, using: &shared) {
      let size =
        Bool.random(using: &shared)
        ? Int.random(in: 1...64, using: &shared)
        : Int.random(in: 1000...30000, using: &shared)
      layout.append(count..<count + size)
      count += size + Int.random(in: 0...16, using: &shared)
    }
    let bucketBytes = [1, 1000, 100_000, 4 << 20].randomElement(using: &shared) ?? 1
    let gradients = UnsafeMutablePointer<Float>.allocate(capacity: count)
    defer { gradients.deallocate() }
    let reducer = try GradientReducer(
      communicator: communicator, gradients: gradients, count: count, parameters: layout,
      bucketBytes: bucketBytes)

    for step in 0..<3 {
      var own = Generator(state: seed &* 1000 &+ UInt64(step * 64 + communicator.rank))
      func value(_ rank: Int, _ parameter: Int, _ element: Int) -> Float {
        (parameter + rank + step) % 11 == 0 ? 0 : Float((element + parameter * 3 + rank * 5 + step) % 64)
      }
      gradients.initialize(repeating: 0, count: count)
      reducer.begin()
      for parameter in layout.indices.shuffled(using: &own) {
        // Not every rank uses every parameter in every step.
        if (parameter + communicator.rank + step) % 11 == 0 { continue }
        for element in layout[parameter] { gradients[element] = value(communicator.rank, parameter, element) }
        reducer.ready(parameter)
        if Int.random(in: 0..<8, using: &own) == 0 { usleep(UInt32.random(in: 0...300, using: &own)) }
      }
      // The main thread may speak on its own communicator meanwhile.
      _ = try communicator.allReduce(.sum, Double(step))
      let timing = try reducer.finish()
      try expect(timing.communicationSeconds > 0 && timing.exposedSeconds >= 0, "\(timing)")
      for (parameter, range) in layout.enumerated() {
        for element in range {
          let sum = (0..<communicator.size).reduce(Float(0)) { $0 + value($1, parameter, element) }
          try expect(gradients[element] == sum, "sum of element \(element), step \(step)")
        }
      }
    }
    reducer.close()
    reducer.close()
  }

  // Ranks that were built differently learn so at once.
  let gradients = UnsafeMutablePointer<Float>.allocate(capacity: 8)
  defer { gradients.deallocate() }
  do {
    _ = try GradientReducer(
      communicator: communicator, gradients: gradients, count: 8,
      parameters: [communicator.rank == 0 ? 0..<8 : 0..<7])
    try expect(false, "different layouts to throw")
  } catch is AgreedError {}
  if communicator.isRoot { print("reducer on \(communicator.size) ranks: passed") }
}

/// A rank whose backward throws drops its reducer in the middle of a step, while its thread waits for the
/// others.
func probeAbandonedStep(_ communicator: Communicator) throws {
  let gradients = UnsafeMutablePointer<Float>.allocate(capacity: 2000)
  gradients.initialize(repeating: 1, count: 2000)
  let reducer = try GradientReducer(
    communicator: communicator, gradients: gradients, count: 2000, parameters: [0..<1000, 1000..<2000],
    bucketBytes: 4000)
  reducer.begin()
  if communicator.rank == 1 {
    reducer.ready(0)
    usleep(200_000)
    reducer.close()
    throw ProbeError("backward broke")
  }
  sleep(1)
  try reducer.finish()
}

/// While ranks take turns at being late, sums are alike on all of them and repeat bit for bit.
func probeRepetition(_ communicator: Communicator) throws {
  let (parameters, size) = (40, 1 << 18)
  let count = parameters * size
  let gradients = UnsafeMutablePointer<Float>.allocate(capacity: count)
  defer { gradients.deallocate() }
  let reducer = try GradientReducer(
    communicator: communicator, gradients: gradients, count: count,
    parameters: (0..<parameters).map { $0 * size..<($0 + 1) * size })
  var first: [UInt32] = []
  for step in 0..<3 {
    var own = Generator(state: UInt64(communicator.rank))
    for element in 0..<count { gradients[element] = Float(own.next() >> 40) * 1e-7 - 0.5 }
    try communicator.barrier()
    reducer.begin()
    for parameter in 0..<parameters {
      usleep((parameter / 4 + communicator.rank) % 2 == 0 ? 1_000 : 5_000)
      reducer.ready(parameter)
    }
    try reducer.finish()
    let bits = (0..<count).map { gradients[$0].bitPattern }
    if step == 0 { first = bits } else { try expect(bits == first, "the same bits in every step") }
    try communicator.checkEqual(
      checksum: bits.reduce(UInt64(0)) { ($0 &* 31) &+ UInt64($1) }, what: "the sums of gradients")
  }
  reducer.close()
  if communicator.isRoot { print("repeat on \(communicator.size) ranks: passed") }
}
