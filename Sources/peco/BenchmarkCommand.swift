import ArgumentParser
import Benchmarks
import Communication
import Configuration
import Models
import TaskSupport
import Tensors
import Trainer

/// `peco benchmark`: the speed of steps and of their parts on this machine.
struct BenchmarkCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "benchmark",
    abstract: "Times training steps, the loader, checkpoints, and their kernels.",
    discussion: """
      Under mpirun all ranks compute at once; --threads and --batch are per rank.
        peco benchmark pretrain --batch 16 --threads 2
        launch/mpirun -n 2 --threads 1 -- peco benchmark pretrain --batch 8
      benchmarks/compare runs the same against PyTorch.
      """,
    subcommands: [
      Pretrain.self, Tokenizer.self, LoaderOfImages.self, AllReduce.self, Gemm.self, Convolution.self,
      CheckpointFiles.self,
    ])

  /// What every benchmark is told.
  struct Common: ParsableArguments {
    @Option(help: "Threads of each rank; by default as training would choose.")
    var threads: Int?

    @Flag(help: "Print one JSON object instead of a table.")
    var json = false

    func validate() throws {
      if let threads, !(1...ComputeThreads.most).contains(threads) {
        throw ValidationError("--threads is \(threads), must be from 1 to \(ComputeThreads.most)")
      }
    }

    /// Runs a benchmark on all ranks; the first prints the report.
    func run(_ body: @escaping (Communicator) throws -> BenchmarkReport?) {
      onAllRanks { communicator in
        try ComputeThreads.configure(requested: threads, communicator: communicator)
        let report = try body(communicator)
        if communicator.isRoot, let report { print(json ? report.json.text : report.text) }
        return 0
      }
    }

    /// Runs a benchmark on the first rank alone.
    func runAlone(_ body: @escaping () throws -> BenchmarkReport) {
      run { communicator in
        try communicator.agree { communicator.isRoot ? try body() : nil }
      }
    }
  }

  /// How many steps of which batch.
  struct Steps: ParsableArguments {
    @Option(help: "Images of a rank's step.")
    var batch: Int?
    @Option(help: "Images computed at a time; by default the whole batch.")
    var microBatch: Int?
    @Option(help: "Steps before the clock starts.")
    var warmup = 1
    @Option(help: "Steps that are timed.")
    var steps = 4
    @Option(
      help: ArgumentHelp(
        "Weights and images that another program wrote, to compute the same as it does.",
        valueName: "file.safetensors"))
    var problem: String?

    func validate() throws {
      for (name, value, least) in [
        ("batch", batch ?? 1, 1), ("micro-batch", microBatch ?? 1, 1), ("warmup", warmup, 0),
        ("steps", steps, 1),
      ]
      where value < least {
        throw ValidationError("--\(name) is \(value), must be at least \(least)")
      }
    }

    func options(batch standard: Int) -> StepBenchmarkOptions {
      var options = StepBenchmarkOptions()
      options.batch = batch ?? standard
      options.microBatch = microBatch
      (options.warmup, options.steps, options.problem) = (warmup, steps, problem)
      return options
    }
  }

  struct Pretrain: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "The step of masked image modeling.")
    @Option(help: "tiny, small, base, large or huge.") var size = ViTSize.base
    @Option(help: "What backward computes again: none, or selective (attention probabilities).")
    var activationCheckpointing = ActivationCheckpointing.selective
    @OptionGroup var steps: Steps
    @OptionGroup var common: Common

    func run() {
      var options = steps.options(batch: 16)
      options.activationCheckpointing = activationCheckpointing
      common.run { [options] in
        try PretrainBenchmark.run(size: size, options, communicator: $0)
      }
    }
  }

  struct Tokenizer: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "The tokenizer's step, or its encoding.")
    @Option(help: "Channels at the first level.") var width = 64
    @Flag(help: "Time encoding instead of training.") var encode = false
    @OptionGroup var steps: Steps
    @OptionGroup var common: Common

    func validate() throws {
      if width < 1 { throw ValidationError("--width is \(width), must be at least 1") }
    }

    func run() {
      common.run {
        try TokenizerBenchmark.run(
          width: width, encode ? .encoding : .training, steps.options(batch: 4), communicator: $0)
      }
    }
  }

  struct LoaderOfImages: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "loader", abstract: "Reading, decoding and augmenting batches.")
    @Option(help: ArgumentHelp("A dataset.", valueName: "file.h5")) var data: String
    @Option(help: "Approximate duration.") var seconds = 5.0
    @OptionGroup var common: Common

    func run() {
      common.runAlone {
        try LoaderBenchmark.run(dataset: data, workers: common.threads ?? 1, seconds: seconds)
      }
    }
  }

  struct AllReduce: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "allreduce", abstract: "Sums over all ranks.")
    @Option(parsing: .upToNextOption, help: "Sizes in megabytes.") var megabytes = [0.1, 1, 4, 16, 64, 368]
    @Option(help: "Repeats of each.") var repeats = 7
    @OptionGroup var common: Common

    func run() {
      common.run {
        try KernelBenchmarks.allReduce(megabytes: megabytes, repeats: max(1, repeats), communicator: $0)
      }
    }
  }

  struct Gemm: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "The matrix products of ViT-B.")
    @Option(help: "Images.") var batch = 8
    @Option(help: "Repeats of each.") var repeats = 9
    @OptionGroup var common: Common

    func run() {
      common.runAlone { try KernelBenchmarks.gemm(batch: max(1, batch), repeats: max(1, repeats)) }
    }
  }

  struct Convolution: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "The convolutions of the tokenizer.")
    @Option(help: "Images.") var batch = 4
    @Option(help: "Repeats of each.") var repeats = 5
    @OptionGroup var common: Common

    func run() {
      common.runAlone { try KernelBenchmarks.convolution(batch: max(1, batch), repeats: max(1, repeats)) }
    }
  }

  struct CheckpointFiles: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "checkpoint", abstract: "Saving and loading a transformer with its optimizer.")
    @Option(help: "tiny, small, base, large or huge.") var size = ViTSize.base
    @Option(help: ArgumentHelp("The disk to write to.", valueName: "directory")) var directory = "."
    @Option(help: "Repeats of each.") var repeats = 5
    @OptionGroup var common: Common

    func run() {
      common.runAlone {
        try CheckpointBenchmark.run(size: size, directory: directory, repeats: max(1, repeats))
      }
    }
  }
}

extension ViTSize: ExpressibleByArgument {}
extension ActivationCheckpointing: ExpressibleByArgument {}
