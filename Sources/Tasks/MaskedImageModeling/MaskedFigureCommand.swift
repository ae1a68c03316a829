import ArgumentParser
import TaskSupport

/// `peco figure masked`.
struct MaskedCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "masked",
    abstract: "Draws masked images beside what the tokens that pretrained transformers predict look like.",
    discussion: """
      Each transformer's own tokenizer draws the predicted tokens at masked patches, and its own tokens at \
      all others. How many were predicted as the tokenizer has them is printed.

      Example:
        peco figure masked --model runs/quickstart/pretrain \\
          --data runs/quickstart/images.h5 --output masked.png
      """)

  @Option(
    help: ArgumentHelp(
      "A checkpoint of `peco pretrain`, or its run; once a column.", valueName: "checkpoint"),
    completion: .hdf5)
  var model: [String]
  @Option(
    help: ArgumentHelp(
      "The tokenizer, once for all models or once for each; by default the one a checkpoint's configuration names.",
      valueName: "checkpoint"), completion: .hdf5)
  var tokenizer: [String] = []
  @Option(
    help: ArgumentHelp(
      "What a column is called, once for each model; by default the run's name.", valueName: "text"))
  var label: [String] = []
  @Option(
    help: ArgumentHelp(
      "Share of the patches that are masked, between 0 and 1; by default as the first model was trained.",
      valueName: "share"))
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
