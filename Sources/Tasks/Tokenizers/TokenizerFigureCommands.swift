import ArgumentParser
import TaskSupport

/// `peco figure reconstructions`.
struct ReconstructionsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reconstructions",
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

/// `peco figure codebook`.
struct CodebookCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "codebook",
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
