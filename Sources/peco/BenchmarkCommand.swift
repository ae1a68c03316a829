import ArgumentParser
import Benchmarks
import Communication
import Configuration
import Models
import TaskSupport
import Tensors
import Terminal
import Trainer

/// `peco benchmark`: the speed of steps and of their parts on this machine.
struct BenchmarkCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "benchmark",
    abstract: "Times training steps, the loader, checkpoints, and their kernels.",
    discussion: """
      Under mpirun all ranks compute at once; --threads and --batch are per rank. benchmarks/compare runs \
      the same against PyTorch.

      Examples:
        peco benchmark pretrain --size small --batch 16
        launch/mpirun -n 2 --threads 1 -- peco benchmark pretrain --batch 8
      """,
    subcommands: [
      Pretrain.self, Finetune.self, Tokenizer.self, LoaderOfImages.self, AllReduce.self, Gemm.self,
      Convolution.self, CheckpointFiles.self,
    ])

  /// What every benchmark is told.
  struct Common: ParsableArguments {
    @Option(help: ArgumentHelp("Threads of each rank; by default as training would choose.", valueName: "n"))
    var threads: Int?

    @OptionGroup var products: PrecisionOptions

    @Flag(help: "Print one JSON object in place of a table.")
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
        try ComputePrecision.configure(
          products.precision, communicator: communicator, logger: ConsoleLog.logger(rank: communicator.rank))
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
    @Option(
      help: ArgumentHelp(
        "Images of a rank's step; by default 16 for pretrain and finetune, 4 for tokenizer.", valueName: "n"))
    var batch: Int?
    @Option(help: ArgumentHelp("Images computed at a time; by default the whole batch.", valueName: "n"))
    var microBatch: Int?
    @Option(help: ArgumentHelp("Steps before the clock starts.", valueName: "n"))
    var warmup = 1
    @Option(help: ArgumentHelp("Steps that are timed.", valueName: "n"))
    var steps = 4
    @Option(
      help: ArgumentHelp(
        "Weights and images that another program wrote, to compute the same as it does; by default drawn ones.",
        valueName: "file.safetensors"), completion: .safetensors)
    var problem: String?
    @Option(
      help: ArgumentHelp(
        "Where to write the gradients of the problem's loss; by default nowhere.",
        valueName: "file.safetensors"),
      completion: .safetensors)
    var gradients: String?

    func validate() throws {
      if gradients != nil, problem == nil { throw ValidationError("--gradients needs --problem") }
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
      (options.warmup, options.steps) = (warmup, steps)
      (options.problem, options.gradients) = (problem, gradients)
      return options
    }
  }

  /// The step of a transformer.
  struct TransformerSteps: ParsableArguments {
    @Option(help: ArgumentHelp("The transformer's size.", valueName: "size")) var size = ViTSize.base
    @Option(
      help: ArgumentHelp(
        "What backward computes again: none, or selective (attention probabilities).", valueName: "choice"))
    var activationCheckpointing = ActivationCheckpointing.selective
    @OptionGroup var steps: Steps
    @OptionGroup var common: Common

    func run(
      _ benchmark: @escaping (ViTSize, StepBenchmarkOptions, Communicator) throws -> BenchmarkReport
    ) {
      var options = steps.options(batch: 16)
      options.activationCheckpointing = activationCheckpointing
      common.run { [options, size] in try benchmark(size, options, $0) }
    }
  }

  struct Pretrain: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Times the step of masked image modeling.",
      discussion: """
        It splits the step into waiting for data, forward, backward, communication and the optimizer.

        Example:
          peco benchmark pretrain --size base --batch 8 --steps 10
        """)
    @OptionGroup var steps: TransformerSteps

    func run() { steps.run(PretrainBenchmark.run) }
  }

  struct Finetune: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Times the step of fine-tuning on labels.",
      discussion: """
        It mixes images, smooths labels and drops branches as the papers do, for 1000 classes.

        Example:
          peco benchmark finetune --size small --batch 8
        """)
    @OptionGroup var steps: TransformerSteps

    func run() { steps.run(FinetuneBenchmark.run) }
  }

  struct Tokenizer: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Times the tokenizer's step, or its encoding.",
      discussion: """
        Example:
          peco benchmark tokenizer --encode --batch 8
        """)
    @Option(help: ArgumentHelp("Channels at the first level.", valueName: "n")) var width = 64
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
      commandName: "loader", abstract: "Times reading, decoding and augmenting batches.",
      discussion: """
        Example:
          peco benchmark loader --data runs/quickstart/images.h5 --seconds 10
        """)
    @Option(help: ArgumentHelp("A dataset.", valueName: "file.h5"), completion: .hdf5) var data: String
    @Option(help: ArgumentHelp("Approximate duration.", valueName: "seconds")) var seconds = 5.0
    @OptionGroup var common: Common

    func run() {
      common.runAlone {
        try LoaderBenchmark.run(dataset: data, workers: common.threads ?? 1, seconds: seconds)
      }
    }
  }

  struct AllReduce: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "allreduce", abstract: "Times sums over all ranks.",
      discussion: """
        Example:
          launch/mpirun -n 2 -- peco benchmark allreduce --megabytes 1 16
        """)
    @Option(parsing: .upToNextOption, help: ArgumentHelp("Sizes of what is summed.", valueName: "megabytes"))
    var megabytes = [0.1, 1, 4, 16, 64, 368]
    @Option(help: ArgumentHelp("Repeats of each.", valueName: "n")) var repeats = 7
    @OptionGroup var common: Common

    func run() {
      common.run {
        try KernelBenchmarks.allReduce(megabytes: megabytes, repeats: max(1, repeats), communicator: $0)
      }
    }
  }

  struct Gemm: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Times the matrix products of ViT-B.",
      discussion: """
        Example:
          peco benchmark gemm --batch 16
        """)
    @Option(help: ArgumentHelp("Images.", valueName: "n")) var batch = 8
    @Option(help: ArgumentHelp("Repeats of each.", valueName: "n")) var repeats = 9
    @OptionGroup var common: Common

    func run() {
      common.runAlone { try KernelBenchmarks.gemm(batch: max(1, batch), repeats: max(1, repeats)) }
    }
  }

  struct Convolution: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Times the convolutions of the tokenizer.",
      discussion: """
        Example:
          peco benchmark convolution --batch 8
        """)
    @Option(help: ArgumentHelp("Images.", valueName: "n")) var batch = 4
    @Option(help: ArgumentHelp("Repeats of each.", valueName: "n")) var repeats = 5
    @OptionGroup var common: Common

    func run() {
      common.runAlone { try KernelBenchmarks.convolution(batch: max(1, batch), repeats: max(1, repeats)) }
    }
  }

  struct CheckpointFiles: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "checkpoint", abstract: "Times saving and loading a transformer with its optimizer.",
      discussion: """
        Example:
          peco benchmark checkpoint --size base --directory runs
        """)
    @Option(help: ArgumentHelp("The transformer's size.", valueName: "size")) var size = ViTSize.base
    @Option(help: ArgumentHelp("The disk to write to.", valueName: "directory"), completion: .directory)
    var directory = "."
    @Option(help: ArgumentHelp("Repeats of each.", valueName: "n")) var repeats = 5
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
