import Foundation
import Testing

/// Each test is a run of `communication-probe` under mpirun; one at a time, for the ranks of one outnumber a
/// small machine's cores already.
@Suite("Several ranks under mpirun", .serialized, .timeLimit(.minutes(2)))
struct MultiRankTests {
  @Test("collectives give every rank the right values", arguments: [2, 3, 4, 8])
  func collectives(ranks: Int) throws {
    let run = try mpirun(ranks: ranks, "collectives")
    #expect(run.exitCode == 0 && run.output.contains("passed"), "\(run)")
  }

  @Test(
    "gradients are summed whatever the order, the sizes and the parameters left out", arguments: [2, 3, 4])
  func reducer(ranks: Int) throws {
    let run = try mpirun(ranks: ranks, "reducer", "\(ranks * 17)")
    #expect(run.exitCode == 0 && run.output.contains("passed"), "\(run)")
  }

  @Test("sums are alike on all ranks and repeat bit for bit, whoever is late")
  func repetition() throws {
    let run = try mpirun(ranks: 2, "repeat")
    #expect(run.exitCode == 0 && run.output.contains("passed"), "\(run)")
  }

  @Test("a rank that throws within a step ends the job, its reduction thread included")
  func abandonedStep() throws {
    try expectFailure(try mpirun(ranks: 2, "abandon"), saying: ": backward broke", rank: 1)
  }

  @Test("one rank's error is printed once and ends the job")
  func failure() throws {
    try expectFailure(try mpirun(ranks: 3, "fail", "2"), saying: ": the dog ate the images", rank: 2)
  }

  @Test("an error of all ranks is printed by the first")
  func failureOfAll() throws {
    try expectFailure(
      try mpirun(ranks: 3, "fail", "0", "1", "2"), saying: ": the dog ate the images", rank: 0)
  }

  @Test("a rank that is killed ends the job")
  func vanishing() throws {
    let run = try mpirun(ranks: 3, "vanish")
    #expect(run.exitCode != 0 && run.seconds < 20, "\(run)")
  }

  @Test("ranks agree on an error of one, which is printed once")
  func agreement() throws {
    try expectFailure(try mpirun(ranks: 3, "agree"), saying: ": cannot read /nowhere.h5", rank: 2)
  }

  @Test("a checksum that differs names the rank")
  func checksum() throws {
    let run = try mpirun(ranks: 3, "checksum")
    try expectFailure(run, saying: "the initial weights differ between ranks: rank 1 (", rank: nil)
  }

  private func expectFailure(_ run: Run, saying text: String, rank: Int?) throws {
    let errors = run.errors.split(separator: "\n").filter { $0.hasPrefix("error: ") }
    #expect(errors.count == 1, "\(run)")
    #expect(errors.first?.contains(text) == true, "\(run)")
    if let rank { #expect(errors.first?.hasPrefix("error: rank \(rank) on ") == true, "\(run)") }
    #expect(run.exitCode == 3, "\(run)")
    #expect(run.seconds < 20, "\(run)")
  }
}

/// What a run of mpirun left.
struct Run: CustomStringConvertible {
  var exitCode: Int32
  var output: String
  var errors: String
  var seconds: Double

  var description: String { "exit code \(exitCode) after \(seconds) s\n\(output)\n\(errors)" }
}

/// Runs the probe on that many ranks of this machine.
func mpirun(ranks: Int, _ arguments: String...) throws -> Run {
  let folder = FileManager.default.temporaryDirectory.appending(path: "communication-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  // Files rather than pipes: nothing to drain, and nothing that a rank left behind could hold open.
  let files = try ["output", "errors"].map { name in
    let url = folder.appending(path: name)
    _ = FileManager.default.createFile(atPath: url.path, contents: nil)
    return (url: url, handle: try FileHandle(forWritingTo: url))
  }

  let process = Process()
  process.executableURL = URL(filePath: "/usr/bin/env")
  process.arguments =
    ["mpirun", "--quiet", "-np", "\(ranks)", "--oversubscribe", "--bind-to", "none", try probePath()]
    + arguments
  process.environment = ProcessInfo.processInfo.environment.merging([
    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
  ]) { $1 }
  process.standardOutput = files[0].handle
  process.standardError = files[1].handle
  let start = ContinuousClock.now
  try process.run()
  process.waitUntilExit()
  return Run(
    exitCode: process.terminationStatus,
    output: try String(contentsOf: files[0].url, encoding: .utf8),
    errors: try String(contentsOf: files[1].url, encoding: .utf8),
    seconds: (ContinuousClock.now - start) / .seconds(1))
}

/// The probe stands beside the test bundle in the build folder.
private func probePath() throws -> String {
  let places =
    CommandLine.arguments + Bundle.allBundles.map(\.bundlePath) + [Bundle.main.executablePath ?? ""]
  for place in places {
    var folder = URL(filePath: place).deletingLastPathComponent()
    while folder.path.count > 1 {
      let candidate = folder.appending(path: "communication-probe").path
      if FileManager.default.isExecutableFile(atPath: candidate) { return candidate }
      folder.deleteLastPathComponent()
    }
  }
  throw CocoaError(.fileNoSuchFile, userInfo: [NSFilePathErrorKey: "communication-probe"])
}
