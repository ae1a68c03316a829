import Foundation
import Storage
import Testing

/// What a run of `peco` left.
struct PecoRun: CustomStringConvertible {
  var exitCode: Int32
  var output: String
  var errors: String

  var description: String { "exit code \(exitCode)\n\(output)\n\(errors)" }
  /// The lines that begin with "error:".
  var errorLines: [Substring] { errors.split(separator: "\n").filter { $0.hasPrefix("error:") } }
}

/// A folder for one test, gone with it, where `peco` runs.
final class Workshop {
  let folder: URL

  init() throws {
    folder = FileManager.default.temporaryDirectory.appending(path: "peco-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  func path(_ name: String) -> String { folder.appending(path: name).path }

  func write(_ text: String, to name: String) throws {
    let url = folder.appending(path: name)
    try FileManager.default.createDirectory(
      at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(text.utf8).write(to: url)
  }

  /// Runs the built `peco` in the folder, under mpirun if `ranks` is given.
  ///
  /// - Parameter prelude: Shell commands before it, such as a limit.
  func peco(_ arguments: [String], ranks: Int? = nil, prelude: String? = nil) throws -> PecoRun {
    var command = [try Self.pecoPath()] + arguments
    if let ranks {
      command =
        [
          "mpirun", "--quiet", "-np", "\(ranks)", "--oversubscribe", "--bind-to", "none", "-x",
          "PECO_THREADS=1",
        ]
        + command
    }
    if let prelude { command = ["bash", "-c", prelude + "; exec \"$@\"", "bash"] + command }
    return try run(command)
  }

  /// Runs a command in the folder.
  ///
  /// - Parameters:
  ///   - environment: Variables besides this process's own.
  ///   - hearsSignals: Whether signals reach it. Threads that run tests block them, and a command inherits that;
  ///     `peco` unblocks those it listens to by itself, a shell cannot.
  func run(
    _ command: [String], environment: [String: String] = [:], hearsSignals: Bool = false
  ) throws -> PecoRun {
    let logs = try ["output", "errors"].map { name in
      let url = folder.appending(path: ".\(name)-\(UUID().uuidString)")
      try Data().write(to: url)
      return (url: url, handle: try FileHandle(forWritingTo: url))
    }
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = command
    process.currentDirectoryURL = folder
    process.environment = ProcessInfo.processInfo.environment.merging([
      "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "PECO_THREADS": "1",
    ]) { $1 }.merging(environment) { $1 }
    process.standardOutput = logs[0].handle
    process.standardError = logs[1].handle
    var (mask, before) = (sigset_t(), sigset_t())
    pthread_sigmask(SIG_SETMASK, nil, &before)
    mask = before
    if hearsSignals { sigemptyset(&mask) }
    pthread_sigmask(SIG_SETMASK, &mask, nil)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    try process.run()
    process.waitUntilExit()
    return PecoRun(
      exitCode: process.terminationStatus, output: try String(contentsOf: logs[0].url, encoding: .utf8),
      errors: try String(contentsOf: logs[1].url, encoding: .utf8))
  }

  /// `peco` stands beside the test bundle in the build folder.
  static func pecoPath() throws -> String {
    let places =
      CommandLine.arguments + Bundle.allBundles.map(\.bundlePath) + [Bundle.main.executablePath ?? ""]
    for place in places {
      var folder = URL(filePath: place).deletingLastPathComponent()
      while folder.path.count > 1 {
        let candidate = folder.appending(path: "peco").path
        var isDirectory: ObjCBool = false
        if FileManager.default.fileExists(atPath: candidate, isDirectory: &isDirectory),
          !isDirectory.boolValue
        {
          return candidate
        }
        folder.deleteLastPathComponent()
      }
    }
    throw CocoaError(.fileNoSuchFile, userInfo: [NSFilePathErrorKey: "peco"])
  }

  // MARK: - The smallest of everything

  static let tokenizerConfiguration = """
    seed: 3
    data: {path: images.h5, image_size: 32, workers: 1}
    model: {base_width: 8, channel_multipliers: [1, 1, 2, 2], blocks_per_level: 1}
    codebook: {size: 24, dimension: 8, revive_every_steps: 4}
    perceptual: {network: vgg16, weights: random, taps: [1]}
    training: {steps: 8, global_batch_size: 8, micro_batch_size: 2}
    optimizer: {learning_rate: 1.0e-3}
    """

  static let discreteConfiguration = """
    seed: 3
    data: {path: images.h5, image_size: 32, workers: 1}
    model: {kind: dvae, base_width: 8, channel_multipliers: [1, 2, 2, 4], blocks_per_level: 1}
    codebook: {size: 24, dimension: 8}
    dvae: {temperature_steps: 4, kl_weight: 0.1, kl_steps: 3}
    loss: {pixel: logit_laplace}
    training: {steps: 4, global_batch_size: 8, micro_batch_size: 2}
    optimizer: {learning_rate: 1.0e-3}
    """

  static let pretrainConfiguration = """
    seed: 5
    data: {path: images.h5, image_size: 32, workers: 1}
    model: {width: 24, depth: 2, heads: 2, patch_size: 8, drop_path: 0.3}
    masking: {count: 6, minimum_block: 2}
    tokens: {tokenizer: tokenizer}
    training: {steps: 8, global_batch_size: 8, micro_batch_size: 2}
    optimizer: {learning_rate: 1.0e-3, warmup_steps: 2}
    """

  static let perceptualConfiguration = """
    seed: 7
    data: {path: images.h5, image_size: 32, workers: 1}
    model: {width: 24, depth: 2, heads: 2, patch_size: 8}
    contrast: {hidden_width: 32, output_width: 16}
    training: {steps: 8, global_batch_size: 8}
    optimizer: {learning_rate: 1.0e-3, scale_learning_rate_by_batch: null, warmup_steps: 2}
    evaluation: {every_steps: 4, neighbors: 5}
    """

  /// Draws images and writes the configurations.
  func prepare(images: Int = 40) throws {
    try write(Self.tokenizerConfiguration, to: "tokenizer.yaml")
    try write(Self.pretrainConfiguration, to: "pretrain.yaml")
    try write(Self.perceptualConfiguration, to: "perceptual.yaml")
    let run = try peco([
      "dataset", "synthesize", "--output", "images.h5", "--count", "\(images)", "--size", "40",
    ])
    guard run.exitCode == 0 else { throw Unexpected(run) }
  }

  /// Trains, as `kind` names command, configuration and directory.
  @discardableResult
  func train(
    _ kind: Stage, run: String? = nil, set: [String] = [], ranks: Int? = nil, arguments: [String] = []
  ) throws
    -> PecoRun
  {
    let result = try peco(
      kind.command + ["--config", "\(kind.rawValue).yaml", "--run", run ?? kind.rawValue] + arguments
        + (set.isEmpty ? [] : ["--set"] + set), ranks: ranks)
    guard result.exitCode == 0 else { throw Unexpected(result) }
    return result
  }

  enum Stage: String {
    case tokenizer, pretrain, perceptual, finetune

    var command: [String] {
      [.pretrain, .finetune].contains(self) ? [rawValue] : [rawValue, "train"]
    }
  }

  /// The text of each step's value under a key of a run's metrics, as it is written there.
  func metric(_ key: String, of run: String) throws -> [String] {
    let text = try String(contentsOfFile: path(run + "/metrics.jsonl"), encoding: .utf8)
    return text.split(separator: "\n").compactMap { line in
      guard let start = line.range(of: "\"\(key)\":")?.upperBound else { return nil }
      return line[start...].prefix { $0 != "," && $0 != "}" }.trimmingCharacters(in: .whitespaces)
    }
  }

  /// Every array of a run's checkpoint after a step.
  func weights(of run: String, step: Int) throws -> [String: [Float]] {
    let file = try HDF5File(opening: path(run + "/checkpoints/step-" + String(format: "%09d", step) + ".h5"))
    return Dictionary(
      uniqueKeysWithValues: try file.listRecursively("/").filter { $0 != "classes" }
        .map { ($0, try file.read($0, as: Float.self)) })
  }
}

/// A run that should have succeeded.
struct Unexpected: Error, CustomStringConvertible {
  let description: String
  init(_ run: PecoRun) { description = "peco failed: \(run)" }
}

/// Expects a run to have failed with one error that has these tokens.
func expectError(
  _ run: PecoRun, _ tokens: String..., sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(run.exitCode != 0, "\(run)", sourceLocation: sourceLocation)
  #expect(run.errorLines.count == 1, "\(run)", sourceLocation: sourceLocation)
  for token in tokens {
    #expect(run.errors.contains(token), "'\(token)' is not in: \(run)", sourceLocation: sourceLocation)
  }
}
