import ArgumentParser
import Imaging
import Training

/// `peco figure`: what tokenizers and transformers have learned, as PNG.
struct FigureCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "figure",
    abstract: "Draws what tokenizers and transformers have learned, as PNG.",
    subcommands: [Reconstructions.self, Codewords.self, Masked.self, Attention.self])

  struct Reconstructions: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Draws pictures beside what each of several tokenizers makes of their words.")

    @Option(
      help: ArgumentHelp("A tokenizer's checkpoint, or its run; once a column.", valueName: "checkpoint"))
    var tokenizer: [String]
    @Option(help: "What a column is called, once for each tokenizer; by default the run's name.")
    var label: [String] = []
    @OptionGroup var pictures: PictureOptions

    func run() throws {
      pictures.write(madeFrom: tokenizer) {
        try ReconstructionFigure.draw(
          .init(tokenizers: tokenizer, labels: label, dataset: pictures.data, pictures: pictures.choice))
      }
    }
  }

  struct Codewords: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Draws patches of different pictures that share a word of the codebook, a row a word.",
      discussion: """
        Pictures are turned into words; of the words that occur in enough of them, some are taken evenly from the most \
        frequent to the rarest. Beside each stands its share of all words.
        """)

    @Option(help: ArgumentHelp("The tokenizer's checkpoint, or its run.", valueName: "checkpoint"))
    var tokenizer: String
    @Option(help: ArgumentHelp("The dataset.", valueName: "file.h5"))
    var data: String
    @Option(help: ArgumentHelp("Where to write the figure.", valueName: "file.png"))
    var output: String
    @Option(help: "How many words to show.")
    var words = 12
    @Option(
      parsing: .upToNextOption, help: ArgumentHelp("Words to show in place of those.", valueName: "word"))
    var word: [Int] = []
    @Option(help: "How many patches of a word to show, each of another picture.")
    var patches = 10
    @Option(help: "How many patches around each to show with it.")
    var context = 1
    @Option(help: "How many pictures to look through; by default 512, or all where there are fewer.")
    var pictures: Int?
    @Option(help: "Decides which pictures, and which of their patches.")
    var seed: UInt64 = 0

    func validate() throws {
      guard words >= 1, patches >= 1, pictures ?? 1 >= 1 else {
        throw ValidationError("--words, --patches and --pictures must be at least 1")
      }
      guard (0...16).contains(context) else {
        throw ValidationError("--context is \(context), must be 0 to 16")
      }
    }

    func run() throws {
      var request = CodewordFigure.Request(tokenizer: tokenizer, dataset: data)
      request.words = word.isEmpty ? .frequent(words) : .listed(word)
      (request.patches, request.context) = (patches, context)
      (request.pictures, request.seed) = (pictures, seed)
      writeFigure(to: output, madeFrom: [data, tokenizer]) { try CodewordFigure.draw(request).table }
    }
  }

  struct Masked: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Draws masked pictures beside what the words that pretrained transformers predict look like.",
      discussion: """
        Each transformer's own tokenizer draws the predicted words at masked patches, and its own words at all others. \
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
    @OptionGroup var pictures: PictureOptions

    func validate() throws {
      if let maskRatio, !(maskRatio > 0 && maskRatio < 1) {
        throw ValidationError("--mask-ratio is \(maskRatio), must lie between 0 and 1")
      }
    }

    func run() throws {
      var request = MaskedFigure.Request(models: model, dataset: pictures.data, pictures: pictures.choice)
      (request.tokenizers, request.labels) = (tokenizer, label)
      (request.maskRatio, request.seed) = (maskRatio, pictures.seed)
      pictures.write(madeFrom: model + tokenizer) {
        let figure = try MaskedFigure.draw(request)
        for score in figure.scores {
          print(
            "\(score.label): \(score.correct) of \(score.masked) words predicted as the tokenizer has them")
        }
        return figure.table
      }
    }
  }

  struct Attention: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Draws where patches of pictures look: a transformer's self-attention.",
      discussion: """
        Each map shows how much the outlined patch attends to each patch, from black (nothing) to pale yellow (the map's \
        own greatest).
        """)

    @Option(help: ArgumentHelp("A transformer's checkpoint, or its run.", valueName: "checkpoint"))
    var checkpoint: String
    @Flag(help: "Take the moving averages of fine-tuning in place of the weights themselves.")
    var ema = false
    @OptionGroup var pictures: PictureOptions
    @Option(help: "How many patches of each picture to ask where they look, drawn by the seed.")
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
        checkpoint: checkpoint, dataset: pictures.data, pictures: pictures.choice)
      request.references = patch.isEmpty ? .drawn(references) : .listed(patch)
      (request.averaged, request.block, request.head) = (ema, block, head)
      (request.view, request.seed) = (view.settings, pictures.seed)
      pictures.write(madeFrom: [checkpoint]) { try AttentionFigure.draw(request).table }
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

/// Which pictures a figure shows, and where it is written.
struct PictureOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The dataset.", valueName: "file.h5"))
  var data: String
  @Option(help: ArgumentHelp("Where to write the figure.", valueName: "file.png"))
  var output: String
  @Option(
    name: [.customLong("count"), .customLong("pictures")],
    help: "How many pictures to show, drawn by the seed.")
  var count = 8
  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Pictures to show in place of those, by their places in the dataset from 0."))
  var index: [Int] = []
  @Option(help: "Decides every draw.")
  var seed: UInt64 = 0

  func validate() throws {
    guard count >= 1 else { throw ValidationError("--count is \(count), must be at least 1") }
  }

  /// The same, as `Training` takes it.
  var choice: PictureChoice { index.isEmpty ? .drawn(count: count, seed: seed) : .listed(index) }

  /// Draws and writes.
  func write(madeFrom inputs: [String], _ draw: () throws -> PictureTable) {
    writeFigure(to: output, madeFrom: [data] + inputs, draw)
  }
}

/// Draws a figure and writes it, on the first rank.
private func writeFigure(to path: String, madeFrom inputs: [String], _ draw: () throws -> PictureTable) {
  onAllRanks { communicator in
    try ComputeThreads.configure(requested: nil, communicator: communicator)
    guard communicator.isRoot else { return 0 }
    try PictureTable.requireOutput(path, madeFrom: inputs)
    let image = try draw().image()
    try image.writePNG(to: path)
    print("\(path): \(image.width) × \(image.height)")
    return 0
  }
}
