import Configuration
import Foundation
import Imaging
import Logging
import Storage
import Terminal
import Visualization

/// What a training command is asked to do.
public struct RunRequest: Sendable {
  /// Path of the configuration file.
  public var configuration: String
  /// Path of the run's directory.
  public var directory: String
  /// Where to go on from.
  public var resume: ResumeChoice
  /// `key.path=value`, over the file's.
  public var overrides: [String]

  /// A request, as the command line makes it.
  public init(configuration: String, directory: String, resume: ResumeChoice, overrides: [String]) {
    self.configuration = configuration
    self.directory = directory
    self.resume = resume
    self.overrides = overrides
  }
}

/// Where a run goes on from.
public enum ResumeChoice: Sendable, Equatable {
  /// The newest checkpoint of the run's directory that verifies; the beginning if there is none.
  case auto
  /// The beginning, in a directory without checkpoints.
  case never
  /// A checkpoint file.
  case checkpoint(String)

  /// Reads the command line's `auto`, `never` or a path.
  public init(argument: String) {
    switch argument {
    case "auto": self = .auto
    case "never": self = .never
    default: self = .checkpoint(argument)
    }
  }
}

/// The files of a run: configuration, metrics, checkpoints. Only rank 0 has to do with them.
public struct RunDirectory {
  /// Its path.
  public let path: String
  /// The checkpoints in it.
  public let checkpoints: CheckpointStore

  /// Path of the metrics, one JSON object a step.
  public var metricsPath: String { path + "/metrics.jsonl" }
  /// Path of the configuration with all defaults filled in.
  public var configurationPath: String { path + "/config.yaml" }

  /// The run at `path`, keeping the newest `keep` checkpoints.
  public init(_ path: String, keep: Int) {
    self.path = path
    checkpoints = CheckpointStore(directory: path + "/checkpoints", keep: keep)
  }

  /// Makes the directory, and takes it for this process alone until the lock goes. Throws where another has it.
  ///
  /// - Parameter warn: Told where the file system has no locks, so that nothing keeps others out.
  func takePossession(warn: (String) -> Void) throws -> FileLock {
    try checkpoints.makeFolder()
    guard let lock = try FileLock(path + "/.lock") else {
      throw RunError(
        "another peco trains in \(path)\(FileLock.holder(of: path + "/.lock")); wait for it, end it, or choose "
          + "another --run; where its node is gone and a file server keeps the lock, remove \(path)/.lock")
    }
    if let absence = lock.absence {
      warn(
        "the file system of \(path) has no locks: \(absence); nothing keeps a second peco out, and two that train in "
          + "one --run destroy one another's checkpoints and metrics. See to it that only one runs")
    }
    try checkpoints.removePartialFiles()
    return lock
  }

  /// Writes the configuration.
  ///
  /// - Returns: The keys that differ from an earlier start of the same run, as "key: old → new".
  func write(configuration: String) throws -> [String] {
    let earlier = try? String(contentsOfFile: configurationPath, encoding: .utf8)
    try FileSystem.atomicallyReplace(configurationPath) { try FileSystem.write(configuration, to: $0) }
    return earlier.map { ResolvedConfiguration.differences(from: $0, to: configuration) } ?? []
  }

  /// The checkpoint that a choice means, or nil for the beginning.
  ///
  /// - Parameters:
  ///   - choice: Where to go on from.
  ///   - report: Told of every newer checkpoint that was passed over, and why.
  public func checkpoint(_ choice: ResumeChoice, report: (String) -> Void) throws -> String? {
    let present = try checkpoints.list()
    switch choice {
    case .auto:
      let (newest, passedOver) = try checkpoints.newestVerified()
      for damaged in passedOver { report("passing over \(damaged)") }
      if newest == nil, !passedOver.isEmpty {
        throw RunError(
          "none of the \(passedOver.count) checkpoints in \(path) can be read; "
            + "choose another --run to start from the beginning")
      }
      return newest?.path
    case .never:
      if let last = present.last {
        throw RunError(
          "--resume never, but \(path) holds checkpoints up to step \(last.step); "
            + "choose another --run, or remove them")
      }
      return nil
    case .checkpoint(let path):
      let file = try Self.checkpointFile(path, report: report)
      let step = try Checkpoint.header(of: file).step
      if let later = present.last(where: { $0.step > step }) {
        throw RunError(
          "\(file) is of step \(step), but \(self.path) holds checkpoints up to step \(later.step); "
            + "choose another --run, or remove the later ones")
      }
      return file
    }
  }

  /// The file that a path means: itself, or the newest checkpoint of a run's directory that verifies.
  ///
  /// - Parameters:
  ///   - path: A checkpoint, or the directory of a run.
  ///   - report: Told of every newer checkpoint that was passed over, and why.
  public static func checkpointFile(_ path: String, report: (String) -> Void) throws -> String {
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), isDirectory.boolValue
    else {
      return path
    }
    let (newest, passedOver) = try CheckpointStore(directory: path + "/checkpoints").newestVerified()
    for damaged in passedOver { report("passing over \(damaged)") }
    guard let newest else {
      throw RunError("\(path) holds no checkpoint that can be read; give a run's directory, or a checkpoint")
    }
    return newest.path
  }

  /// Draws metrics, those that there are, into `curves.png`. An image is not worth a run: failing is only logged.
  func drawCurves(of names: [String], logger: Logger) {
    do {
      let lines = try MetricsLine.read(metricsPath)
      guard lines.count > 1 else { return }
      try CurveFigure(runs: [((path as NSString).lastPathComponent, lines)], names: names).image()
        .writePNG(to: path + "/curves.png")
    } catch {
      logger.warning("the curves were not drawn: \(error)")
    }
  }
}
