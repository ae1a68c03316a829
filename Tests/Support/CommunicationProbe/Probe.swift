import Communication
import Foundation

/// What CommunicationTests starts under mpirun: one scenario a run, named by the first argument.
@main
enum Probe {
  static func main() throws {
    let communicator: Communicator
    do {
      communicator = try Communicator.start()
    } catch {
      FileHandle.standardError.write(Data("error: \(error)\n".utf8))
      exit(1)
    }
    let arguments = Array(CommandLine.arguments.dropFirst())
    do {
      switch arguments.first {
      case "collectives": try probeCollectives(communicator)
      case "reducer": try probeReducer(communicator, seed: UInt64(arguments[1]) ?? 0)
      case "repeat": try probeRepetition(communicator)
      case "abandon": try probeAbandonedStep(communicator)
      case "fail": try probeFailure(communicator, ranks: arguments.dropFirst().compactMap { Int($0) })
      case "vanish": try probeVanishing(communicator)
      case "agree": try probeAgreement(communicator)
      case "checksum": try probeChecksum(communicator)
      case "bandwidth": try measureBandwidth(communicator)
      default: throw ProbeError("unknown scenario")
      }
    } catch {
      communicator.fail(error, exitCode: 3)
    }
    communicator.finish()
  }
}

struct ProbeError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

func expect(_ condition: Bool, _ what: String, line: Int = #line) throws {
  if !condition { throw ProbeError("expected: \(what) (line \(line))") }
}

/// SplitMix64: repeatable numbers that differ by rank where wanted.
struct Generator: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
