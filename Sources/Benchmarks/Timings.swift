import Foundation

/// How long something took, again and again.
public struct Timings: Sendable {
  /// Each time, in order.
  public let seconds: [Double]

  public init(_ seconds: [Double]) { self.seconds = seconds }

  /// Runs `body` some times to warm caches and pools, and then times it `repeats` times.
  public init(warmup: Int, repeats: Int, _ body: () throws -> Void) rethrows {
    for _ in 0..<warmup { try body() }
    seconds = try (0..<repeats).map { _ in
      let start = ContinuousClock.now
      try body()
      return start.duration(to: .now) / .seconds(1)
    }
  }

  public var median: Double { Self.median(seconds) }
  public var least: Double { seconds.min() ?? 0 }
  public var most: Double { seconds.max() ?? 0 }
  /// (most − least) / median.
  public var spread: Double { median > 0 ? (most - least) / median : 0 }

  static func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    guard let middle = sorted.dropFirst(sorted.count / 2).first else { return 0 }
    return sorted.count % 2 == 1 ? middle : (middle + sorted[sorted.count / 2 - 1]) / 2
  }
}

/// The memory of this process, in bytes.
enum ProcessMemory {
  /// The most it ever had in memory at once.
  static var peak: Int {
    var usage = rusage()
    // Linux counts in KiB.
    #if os(Linux)
      return getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 ? usage.ru_maxrss << 10 : 0
    #else
      return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss : 0
    #endif
  }

  /// What it has in memory now; 0 where the system does not say.
  static var resident: Int {
    let fields = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ")
    guard let fields, fields.count > 1, let pages = Int(fields[1]) else { return 0 }
    return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
  }
}
