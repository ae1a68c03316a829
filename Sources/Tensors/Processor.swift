import CKernels
import Foundation

/// The processor this process runs on, and whether the libraries make full use of it.
public enum Processor {
  /// The widest vector instructions, in bits: 512, 256 or 128.
  public static var vectorBits: Int { Int(peco_vector_bits()) }

  /// The name the processor gives itself.
  public static var modelName: String {
    let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("model name") }
    let name = line?.split(separator: ":", maxSplits: 1).last?.trimmingCharacters(in: .whitespaces)
    return name ?? "unknown processor"
  }

  /// The multiply-adds that `threads` threads do in a second on the widest vectors, in floating-point
  /// operations a second. Takes a quarter of a second.
  public static func measuredPeak(threads: Int) throws -> Double {
    let team = try ThreadTeam(threads: threads)
    var best = 0.0
    let operations = UnsafeMutableBufferPointer<Double>.allocate(capacity: threads)
    defer { operations.deallocate() }
    // Many short tries: on a busy machine only some of them have all processors to themselves.
    for _ in 0..<30 {
      let start = ContinuousClock.now
      team.forEach(threads) { index in
        var sink: Float = 0
        operations[index] = peco_multiply_add_rounds(4_000_000, &sink)
      }
      best = max(best, operations.reduce(0, +) / (start.duration(to: .now) / .seconds(1)))
    }
    team.stop()
    return best
  }
}
