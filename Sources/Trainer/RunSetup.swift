import Communication
import Configuration
import Datasets
import Foundation
import Logging
import Operations
import Storage
import Tensors
import Terminal

/// What every training command does before its task comes in: reads the configuration, sets the threads up,
/// opens the dataset, works out the steps, and finds the checkpoint to go on from.
public struct RunSetup<Configuration: RunConfiguration> {
  public let configuration: Configuration
  /// The configuration as YAML, all defaults filled in.
  let resolved: String
  public let dataset: ImageDataset
  let sampler: GlobalSampler
  let share: RankShare
  public let plan: RunPlan
  let run: RunDirectory
  public let logger: Logger
  /// On rank 0, the checkpoint to go on from.
  public let checkpoint: String?
  /// On rank 0, what keeps others out of the run's directory.
  private let lock: FileLock?

  /// Collective. Rank 0 reads the configuration for all.
  ///
  /// - Parameters:
  ///   - request: What the command was asked for.
  ///   - communicator: The ranks that train together.
  ///   - interpret: Makes the configuration of what was read.
  public init(
    _ request: RunRequest, communicator: Communicator,
    interpret: (ConfigurationReader) -> Configuration = { Configuration($0) }
  ) throws {
    let logger = ConsoleLog.logger(rank: communicator.rank)
    self.logger = logger
    let text = try communicator.readOnRoot { try RunSetup.read(request.configuration) }
    let (configuration, resolved) = try communicator.agree {
      let reader = try ConfigurationReader(
        yaml: text, source: request.configuration, overrides: request.overrides)
      return (interpret(reader), try reader.finish())
    }
    self.configuration = configuration
    self.resolved = resolved
    let shared = configuration.shared
    try ComputeThreads.configure(requested: shared.training.threads, communicator: communicator)
    let precision = try ComputePrecision.configure(
      shared.training.precision, communicator: communicator, logger: logger)

    let dataset = try ImageDataset.open(shared.data.path, on: communicator)
    self.dataset = dataset
    (sampler, share) = try communicator.agree {
      try namingKeys {
        (
          try GlobalSampler(
            count: dataset.count, subset: configuration.subset(of: dataset),
            globalBatchSize: shared.training.globalBatchSize, seed: shared.seed),
          try RankShare(
            rank: communicator.rank, ranks: communicator.size,
            globalBatchSize: shared.training.globalBatchSize,
            microBatchSize: RunSetup.microBatchSize(
              shared.training, ranks: communicator.size, multiple: configuration.microBatchMultiple))
        )
      }
    }
    plan = RunPlan(shared, sampler: sampler, share: share)
    guard plan.steps > 0 else {
      throw RunError(
        "training.epochs is so small that there is no step to make: a pass over the \(sampler.count) images has "
          + "\(plan.stepsPerEpoch) of \(shared.training.globalBatchSize) images")
    }

    let run = RunDirectory(request.directory, keep: shared.checkpoint.keep)
    self.run = run
    (lock, checkpoint) = try communicator.agree { () -> (FileLock?, String?) in
      guard communicator.isRoot else { return (nil, nil) }
      let lock = try run.takePossession { logger.warning("\($0)") }
      let checkpoint = try run.checkpoint(request.resume) { logger.warning("\($0)") }
      if let checkpoint { logger.notice("going on from \(checkpoint)") }
      return (lock, checkpoint)
    }
    logger.notice(
      """
      \(sampler.count) images, \(plan.steps) steps of \(shared.training.globalBatchSize) \
      (\(communicator.size) ranks × \(plan.microBatches) × \(plan.microBatchSize)), \
      \(ThreadPool.current.threadCount) threads a rank, \(MatrixMultiply.kernelName) kernels, \
      products in \(precision)
      """)
  }

  /// The largest size, up to the configured one, that cuts a rank's share of the global batch evenly; a multiple of
  /// `multiple` where there is one.
  static func microBatchSize(_ training: TrainingConfiguration, ranks: Int, multiple: Int = 1) -> Int {
    let share = training.globalBatchSize / ranks
    let most = max(1, min(training.microBatchSize, share))
    let sizes = (1...most).filter { share % $0 == 0 }
    return sizes.last { $0 % multiple == 0 } ?? sizes.last ?? 1
  }

  private static func read(_ path: String) throws -> String {
    do {
      return try FileSystem.readText(path)
    } catch {
      throw RunError("the configuration \(error)")
    }
  }
}

extension RunSetup {
  /// Runs the loop over a task whose samples are made as `samples` says. Collective.
  ///
  /// - Parameters:
  ///   - task: What is trained.
  ///   - samples: How images become batches.
  ///   - tokens: A file whose tokens go with the images; nil for none.
  ///   - inputs: What the task is made of beside the configuration and the images.
  ///   - communicator: All ranks.
  public func train(
    _ task: any TrainingTask, samples: SamplePipeline, tokens: TokenFile? = nil,
    inputs: [RunInput] = [], communicator: Communicator
  ) throws -> TrainingLoop.Outcome {
    let loop = try TrainingLoop(
      task, plan: plan, configuration: resolved,
      inputs: inputs
        + [.images(checksum: dataset.fingerprint, path: configuration.shared.data.path)],
      run: run, communicator: communicator, logger: logger)
    defer { withExtendedLifetime(lock) {} }
    let outcome = try loop.train(from: checkpoint) { firstStep in
      // Only now is it known that the configuration and the checkpoint fit together.
      if communicator.isRoot {
        let changes = try run.write(configuration: resolved)
        for change in checkpoint == nil ? [] : changes {
          logger.warning("configuration changed since the last start: \(change)")
        }
      }
      return try namingKeys {
        try Loader(
          dataset, samples, sampler: sampler, share: share, firstStep: firstStep, tokens: tokens,
          options: configuration.shared.data.loaderOptions)
      }
    }
    if communicator.isRoot { run.drawCurves(of: ["loss"] + type(of: task).headlines, logger: logger) }
    let state = outcome.isComplete ? "done" : "stopped"
    logger.notice(
      "\(state) after step \(outcome.step) of \(plan.steps); checkpoint \(run.checkpoints.path(step: outcome.step))"
    )
    return outcome
  }
}
