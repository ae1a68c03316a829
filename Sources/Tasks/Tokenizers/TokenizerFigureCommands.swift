import ArgumentParser
import TaskSupport

/// `peco figure reconstructions`.
struct ReconstructionsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reconstructions",
    abstract: "Draws images beside what each of several tokenizers makes of their tokens.",
    discussion: """
      Example:
        peco figure reconstructions --tokenizer runs/vqvae --tokenizer runs/dvae \\
          --label PeCo --label BEiT --data runs/quickstart/images.h5 \\
          --output reconstructions.png
      """)

  @Option(
    help: ArgumentHelp("A tokenizer's checkpoint, or its run; once a column.", valueName: "checkpoint"),
    completion: .hdf5)
  var tokenizer: [String]
  @Option(
    help: ArgumentHelp(
      "What a column is called, once for each tokenizer; by default the run's name.", valueName: "text"))
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
      Of the codes that occur in enough images, some are taken evenly from the most frequent to the rarest. \
      Beside each stands its share of all tokens.

      Example:
        peco figure codebook --tokenizer runs/quickstart/tokenizer \\
          --data runs/quickstart/images.h5 --output codebook.png
      """)

  @OptionGroup var options: TokenizerOptions
  @Option(help: ArgumentHelp("Where to write the figure.", valueName: "file.png"), completion: .png)
  var output: String
  @Option(help: ArgumentHelp("How many codes to show.", valueName: "n"))
  var codes = 12
  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Codes to show in place of those; by default none.", valueName: "code"))
  var code: [Int] = []
  @Option(help: ArgumentHelp("How many patches of a code to show, each of another image.", valueName: "n"))
  var patches = 10
  @Option(help: ArgumentHelp("How many patches to each side to show with it, up to 16.", valueName: "n"))
  var context = 1
  @Option(
    help: ArgumentHelp(
      "How many images to look through; by default 512, or all where there are fewer.", valueName: "n"))
  var images: Int?
  @Option(help: ArgumentHelp("Decides which images, and which of their patches.", valueName: "seed"))
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
    var request = CodebookFigure.Request(tokenizer: options.tokenizer, dataset: options.data)
    request.codes = code.isEmpty ? .frequent(codes) : .listed(code)
    (request.patches, request.context) = (patches, context)
    (request.images, request.seed) = (images, seed)
    writeFigure(to: output, madeFrom: [options.data, options.tokenizer]) {
      try CodebookFigure.draw(request).table
    }
  }
}
