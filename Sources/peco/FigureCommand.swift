import ArgumentParser
import Imaging
import Layers
import Tasks
import Trainer
import Visualization

/// `peco figure`: what tokenizers and transformers have learned, as PNG.
struct FigureCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "figure",
    abstract: "Draws what tokenizers and transformers have learned, as PNG.",
    subcommands: [Reconstructions.self, Codebook.self, Masked.self, Attention.self])

  struct Reconstructions: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Draws images beside what each of several tokenizers makes of their tokens.")

    @Option(
      help: ArgumentHelp("A tokenizer's checkpoint, or its run; once a column.", valueName: "checkpoint"))
    var tokenizer: [String]
    @Option(help: "What a column is called, once for each tokenizer; by default the run's name.")
    var label: [String] = []
    @OptionGroup var images: ImageOptions

    func run() throws {
      images.write(madeFrom: tokenizer) {
        try ReconstructionFigure.draw(
          .init(tokenizers: tokenizer, labels: label, dataset: images.data, images: images.choice))
      }
    }
  }

  struct Codebook: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Draws patches of different images that share a codebook entry, a row an entry.",
      discussion: """
        Of the codes that occur in enough images, some are taken evenly from the most frequent to the rarest. Beside \
        each stands its share of all tokens.
        """)

    @Option(help: ArgumentHelp("The tokenizer's checkpoint, or its run.", valueName: "checkpoint"))
    var tokenizer: String
    @Option(help: ArgumentHelp("The dataset.", valueName: "file.h5"))
    var data: String
    @Option(help: ArgumentHelp("Where to write the figure.", valueName: "file.png"))
    var output: String
    @Option(help: "How many codes to show.")
    var codes = 12
    @Option(
      parsing: .upToNextOption, help: ArgumentHelp("Codes to show in place of those.", valueName: "code"))
    var code: [Int] = []
    @Option(help: "How many patches of a code to show, each of another image.")
    var patches = 10
    @Option(help: "How many patches around each to show with it.")
    var context = 1
    @Option(help: "How many images to look through; by default 512, or all where there are fewer.")
    var images: Int?
    @Option(help: "Decides which images, and which of their patches.")
    var seed: UInt64 = 0

    func validate() throws {
      guard codes >= 1, patches >= 1, images ?? 1 >= 1 else {
        throw ValidationError("--codes, --patches and --images must be at least 1")
      }
      guard (0...16).contains(context) else {
        throw ValidationError("--context is \(context), must be 0 to 16")
      }
    }

    func run() throws {
      var request = CodebookFigure.Request(tokenizer: tokenizer, dataset: data)
      request.codes = code.isEmpty ? .frequent(codes) : .listed(code)
      (request.patches, request.context) = (patches, context)
      (request.images, request.seed) = (images, seed)
      writeFigure(to: output, madeFrom: [data, tokenizer]) { try CodebookFigure.draw(request).table }
    }
  }

  struct Masked: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Draws masked images beside what the tokens that pretrained transformers predict look like.",
      discussion: """
        Each transformer's own tokenizer draws the predicted tokens at masked patches, and its own tokens at all others. \
        How many were predicted as the tokenizer has them is printed.
        """)

    @Option(
      help: ArgumentHelp(
        "A checkpoint of `peco pretrain`, or its run; once a column.", valueName: "checkpoint"))
    var model: [String]
    @Option(
      help: ArgumentHelp(
        "The tokenizer, once for all models or once for each; by default the one a checkpoint's configuration names.",
        valueName: "checkpoint"))
    var tokenizer: [String] = []
    @Option(help: "What a column is called, once for each model; by default the run's name.")
    var label: [String] = []
    @Option(help: "Share of the patches that are masked; by default as the first model was trained.")
    var maskRatio: Double?
    @OptionGroup var images: ImageOptions

    func validate() throws {
      if let maskRatio, !(maskRatio > 0 && maskRatio < 1) {
        throw ValidationError("--mask-ratio is \(maskRatio), must lie between 0 and 1")
      }
    }

    func run() throws {
      var request = MaskedFigure.Request(models: model, dataset: images.data, images: images.choice)
      (request.tokenizers, request.labels) = (tokenizer, label)
      (request.maskRatio, request.seed) = (maskRatio, images.seed)
      images.write(madeFrom: model + tokenizer) {
        let figure = try MaskedFigure.draw(request)
        for score in figure.scores {
          print(
            "\(score.label): \(score.correct) of \(score.masked) tokens predicted as the tokenizer has them")
        }
        return figure.table
      }
    }
  }

  struct Attention: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Draws where patches of images look: a transformer's self-attention.",
      discussion: """
        Each map shows how much the outlined patch attends to each patch, from black (nothing) to pale yellow (the map's \
        own greatest).
        """)

    @Option(help: ArgumentHelp("A transformer's checkpoint, or its run.", valueName: "checkpoint"))
    var checkpoint: String
    @Flag(help: "Take the moving averages of fine-tuning in place of the weights themselves.")
    var ema = false
    @OptionGroup var images: ImageOptions
    @Option(help: "How many patches of each image to ask where they look, drawn by the seed.")
    var references = 4
    @Option(
      parsing: .upToNextOption,
      help: ArgumentHelp(
        "Patches to ask in place of those, by row and column from 0.", valueName: "row,column"))
    var patch: [AttentionFigure.Place] = []
    @Option(help: "Which block, from 1; by default the last.")
    var block: Int?
    @Option(help: "Which head, from 0; by default the mean of all.")
    var head: Int?
    @OptionGroup var view: ViewOptions

    func validate() throws {
      guard references >= 1 else { throw ValidationError("--references must be at least 1") }
    }

    func run() throws {
      var request = AttentionFigure.Request(
        checkpoint: checkpoint, dataset: images.data, images: images.choice)
      request.references = patch.isEmpty ? .drawn(references) : .listed(patch)
      (request.averaged, request.block, request.head) = (ema, block, head)
      (request.view, request.seed) = (view.settings, images.seed)
      images.write(madeFrom: [checkpoint]) { try AttentionFigure.draw(request).table }
    }
  }
}

extension AttentionFigure.Place: ExpressibleByArgument {
  /// "row,column"
  public init?(argument: String) {
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
    guard parts.count == 2, let row = parts[0], let column = parts[1] else { return nil }
    self.init(row: row, column: column)
  }
}

/// Which images a figure shows, and where it is written.
struct ImageOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The dataset.", valueName: "file.h5"))
  var data: String
  @Option(help: ArgumentHelp("Where to write the figure.", valueName: "file.png"))
  var output: String
  @Option(
    name: [.customLong("count"), .customLong("images")],
    help: "How many images to show, drawn by the seed.")
  var count = 8
  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Images to show in place of those, by their places in the dataset from 0."))
  var index: [Int] = []
  @Option(help: "Decides every draw.")
  var seed: UInt64 = 0

  func validate() throws {
    guard count >= 1 else { throw ValidationError("--count is \(count), must be at least 1") }
  }

  /// The same, as `Training` takes it.
  var choice: ImageChoice { index.isEmpty ? .drawn(count: count, seed: seed) : .listed(index) }

  /// Draws and writes.
  func write(madeFrom inputs: [String], _ draw: () throws -> ImageTable) {
    writeFigure(to: output, madeFrom: [data] + inputs, draw)
  }
}

/// Draws a figure and writes it, on the first rank.
private func writeFigure(to path: String, madeFrom inputs: [String], _ draw: () throws -> ImageTable) {
  onAllRanks { communicator in
    try ComputeThreads.configure(requested: nil, communicator: communicator)
    guard communicator.isRoot else { return 0 }
    try ImageTable.requireOutput(path, madeFrom: inputs)
    let image = try draw().image()
    try image.writePNG(to: path)
    print("\(path): \(image.width) × \(image.height)")
    return 0
  }
}
