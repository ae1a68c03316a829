import Communication
import Configuration
import Datasets
import Imaging
import Models
import TaskSupport
import Visualization

/// `peco figure reconstructions`: images and their reconstructions by several tokenizers, side by side.
public enum ReconstructionFigure {
  /// What is to be drawn.
  public struct Request: Sendable {
    /// Checkpoints or runs.
    public var tokenizers: [String]
    /// What the columns are called; none for the names of the runs.
    public var labels: [String]
    /// The dataset.
    public var dataset: String
    /// Its images that are shown, one a row.
    public var images: ImageChoice

    public init(tokenizers: [String], labels: [String] = [], dataset: String, images: ImageChoice) {
      self.tokenizers = tokenizers
      self.labels = labels
      self.dataset = dataset
      self.images = images
    }
  }

  /// Narrowest column.
  package static let cellWidth = 128

  /// A row an image: the image as the tokenizer of the largest images sees it, then each tokenizer's reconstruction.
  public static func draw(_ request: Request) throws -> ImageTable {
    let labels = try figureLabels(request.labels, for: request.tokenizers, option: "tokenizer")
    let dataset = try namingKeys { try ImageDataset(opening: request.dataset) }
    let indices = try request.images.indices(in: dataset)
    var inputs: [Image] = []
    var columns: [[Image]] = []
    for path in request.tokenizers {
      let model = try TrainedTokenizer(path: path, communicator: Communicator()).model
      var (shown, drawn) = ([Image](), [Image]())
      try dataset.forEachBatch(of: indices, .whole(tokenizerImage: model.preprocessing)) { batch in
        let images = try batch.requiredTokenizerImages
        let reconstruction = model.images(from: model.tokens(images))
        for place in 0..<batch.count {
          shown.append(model.image(images, place))
          drawn.append(model.image(reconstruction, place))
        }
      }
      columns.append(drawn)
      if (shown.first?.width ?? 0) > (inputs.first?.width ?? 0) { inputs = shown }
    }
    let width = max(cellWidth, inputs.first?.width ?? 0)
    return ImageTable(
      headings: ["input"] + labels,
      rows: indices.indices.map { row in
        ImageTable.Row(
          images: ([inputs[row]] + columns.map { $0[row] }).map { $0.enlarged(toward: width) })
      })
  }
}
