import ArgumentParser
import Communication
import Datasets
import Foundation
import Preparation
import TaskSupport
import Testing
import Threads
import Trainer

/// `docs/adding-a-task.md`, followed.
@Suite(.serialized) struct RotationTests {
  @Test func thePageHasTheCode() throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    let code = try ["RotationTask.swift", "RotationCommand.swift"].map {
      try String(contentsOf: folder.appendingPathComponent($0), encoding: .utf8)
    }
    let page = try String(
      contentsOf: folder.appendingPathComponent("../../docs/adding-a-task.md"), encoding: .utf8)
    let blocks = page.components(separatedBy: "```swift\n").dropFirst().map {
      $0.components(separatedBy: "\n```")[0]
    }
    #expect(blocks.count == 5)
    for block in blocks {
      #expect(code.contains { $0.contains(block) }, "not in the sources beside this: \(block.prefix(80))")
    }
  }

  @Test func theDefinitionBringsTheCommand() throws {
    #expect(RotationDefinition.commands.map { $0.configuration.commandName } == ["rotation"])
    let command = try RotationCommand.parse(["--config", "a.yaml", "--run", "b", "--set", "seed=1"])
    #expect(command.options.request.directory == "b" && command.options.request.overrides == ["seed=1"])
  }

  @Test func theTaskLearnsAndIsTheSameOnTwoRanks() throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("peco-rotation-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var synthesis = DatasetSynthesis(count: 16, size: 32, seed: 0)
    synthesis.workers = 1
    _ = try synthesis.write(dataset: folder + "/images.h5", cancellation: Cancellation()) { _ in }
    try """
    data: {path: \(folder)/images.h5, image_size: 32, workers: 1, crop_scale: [1, 1], flip: false, color_jitter: 0}
    model: {width: 48, depth: 2, heads: 2, patch_size: 8}
    training: {steps: 400, global_batch_size: 16, micro_batch_size: 8, threads: 1}
    optimizer: {learning_rate: 3.0e-3}
    checkpoint: {every_minutes: null}
    """.write(toFile: folder + "/rotation.yaml", atomically: true, encoding: .utf8)
    func losses(ranks: Int) throws -> [Double] {
      let run = "\(folder)/\(ranks)"
      let outcomes = try InProcessRanks.run(ranks, threads: 1) { communicator in
        try trainRotation(
          RunRequest(
            configuration: folder + "/rotation.yaml", directory: run, resume: .auto, overrides: []),
          communicator: communicator)
      }
      #expect(outcomes.allSatisfy { $0.isComplete })
      return try MetricsLine.read(run + "/metrics.jsonl").compactMap { $0["loss"] }
    }
    let (one, two) = (try losses(ranks: 1), try losses(ranks: 2))
    #expect(one.count == 400 && two.count == 400)
    #expect(abs(one[0] - two[0]) < 1e-5 * one[0])
    #expect(zip(one, two).prefix(20).allSatisfy { abs($0 - $1) < 1e-3 })
    let (first, last) = (one.prefix(10).reduce(0, +) / 10, one.suffix(10).reduce(0, +) / 10)
    #expect(last < first - 0.02, "\(first) to \(last)")
  }
}
