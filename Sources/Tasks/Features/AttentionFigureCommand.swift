import ArgumentParser
import TaskSupport

/// `peco figure attention`.
struct AttentionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "attention",
    abstract: "Draws where patches of images look: a transformer's self-attention.",
    discussion: """
      Each map shows how much the outlined patch attends to each patch, from black (nothing) to pale yellow \
      (the map's own greatest).

      Example:
        peco figure attention --checkpoint runs/quickstart/pretrain \\
          --data runs/quickstart/images.h5 --output attention.png
      """)

  @Option(
    help: ArgumentHelp("A transformer's checkpoint, or its run's directory.", valueName: "checkpoint"),
    completion: .hdf5)
  var checkpoint: String
  @Flag(help: "Take the moving averages of fine-tuning in place of the weights themselves.")
  var ema = false
  @OptionGroup var images: ImageOptions
  @Option(
    help: ArgumentHelp(
      "How many patches of each image to ask where they look, drawn by the seed.", valueName: "n"))
  var references = 4
  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Patches to ask in place of those, by row and column from 0; by default none.", valueName: "row,column")
  )
  var patch: [AttentionFigure.Place] = []
  @Option(help: ArgumentHelp("Which block, from 1; by default the last.", valueName: "n"))
  var block: Int?
  @Option(help: ArgumentHelp("Which head, from 0; by default the mean of all.", valueName: "n"))
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

extension AttentionFigure.Place: ExpressibleByArgument {
  /// "row,column"
  public init?(argument: String) {
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
    guard parts.count == 2, let row = parts[0], let column = parts[1] else { return nil }
    self.init(row: row, column: column)
  }
}
