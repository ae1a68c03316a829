import Communication
import Configuration
import Datasets
import Evaluation
import Imaging
import Interoperability
import Layers
import Models
import TaskSupport
import Tensors
import Terminal
import Visualization

/// `peco figure attention`: self-attention maps, as in BEiT's figure (Bao et al.,
/// 2106.08254, figure 2).
public enum AttentionFigure {
  /// The query patches.
  public enum References: Sendable, Equatable {
    /// So many of each image, drawn by the seed.
    case drawn(Int)
    /// These of every image.
    case listed([Place])
  }

  /// A patch's place in the grid, from 0.
  public struct Place: Sendable, Equatable {
    public let row: Int
    public let column: Int

    public init(row: Int, column: Int) {
      self.row = row
      self.column = column
    }
  }

  /// What is to be drawn.
  public struct Request: Sendable {
    /// A transformer's checkpoint, or its run.
    public var checkpoint: String
    /// Whether the moving averages of fine-tuning are wanted.
    public var averaged = false
    /// The dataset.
    public var dataset: String
    /// Its images that are shown, one a row.
    public var images: ImageChoice
    /// The patches of each.
    public var references = References.drawn(4)
    /// From 1; nil: the last.
    public var block: Int?
    /// From 0; nil: the mean of all.
    public var head: Int?
    /// How images are shown to the transformer. Without a length to resize to, the whole central square.
    public var view = FrozenTransformer.View()
    /// Decides the patches.
    public var seed: UInt64 = 0

    public init(checkpoint: String, dataset: String, images: ImageChoice) {
      self.checkpoint = checkpoint
      self.dataset = dataset
      self.images = images
    }
  }

  /// The attention map of one query patch.
  public struct Map: Sendable {
    /// The patch, row by row.
    public let reference: Int
    /// Its attention to each patch. The rest, up to 1, goes to the class token.
    public let attention: [Float]
  }

  /// What was drawn.
  public struct Figure: Sendable {
    public let table: ImageTable
    /// Of each image.
    public let maps: [[Map]]
  }

  /// Narrowest column.
  private static let cellWidth = 160

  /// A row an image: the image, and a map for each reference.
  public static func draw(_ request: Request) throws -> Figure {
    let source = try FrozenTransformer(
      request.checkpoint, averaged: request.averaged, view: request.view, communicator: Communicator())
    let backbone = source.model.backbone
    let configuration = backbone.configuration
    let block = request.block ?? configuration.depth
    guard (1...configuration.depth).contains(block) else {
      throw RunError("\(source.path) has \(configuration.depth) blocks; --block is \(block), counts from 1")
    }
    if let head = request.head, !(0..<configuration.heads).contains(head) {
      throw RunError(
        "\(source.path) has \(configuration.heads) heads a block; --head is \(head), counts from 0")
    }
    let dataset = try namingKeys { try ImageDataset(opening: request.dataset) }
    let indices = try request.images.indices(in: dataset)
    var samples = source.data(of: dataset).samples
    if request.view.resize == nil { samples.augmentation = SamplePipeline.whole().augmentation }
    let view = samples.image ?? ImagePreprocessing(size: configuration.imageSize)

    var rows: [ImageTable.Row] = []
    var maps: [[Map]] = []
    try dataset.forEachBatch(of: indices, samples) { batch in
      let images = try batch.requiredImages
      let references = try batch.samples.map {
        try patches(request.references, grid: configuration.grid, seed: request.seed, image: $0)
      }
      let tokens = references.enumerated().flatMap { place, patches in
        patches.map { place * configuration.tokens + 1 + $0 }
      }
      let weights = backbone.attentionProbabilities(images, rows: tokens, block: block)
      var row = 0
      for (place, patches) in references.enumerated() {
        let image = view.image(images, place)
        let own = patches.map { patch in
          defer { row += 1 }
          return Map(reference: patch, attention: patchAttention(weights, row: row, head: request.head))
        }
        maps.append(own)
        let width = max(cellWidth, image.width)
        rows.append(
          ImageTable.Row(
            images: [image.enlarged(toward: width)]
              + own.map { overlay($0, on: image.enlarged(toward: width), grid: configuration.grid) }))
      }
    }
    return Figure(table: ImageTable(rows: rows), maps: maps)
  }

  /// The query patches of an image.
  private static func patches(
    _ references: References, grid: Int, seed: UInt64, image: Int
  ) throws -> [Int] {
    switch references {
    case .drawn(let count):
      guard count <= grid * grid else {
        throw RunError("\(count) patches of an image were asked for; it has \(grid) × \(grid)")
      }
      var stream = RandomStream(seed: seed, purpose: .figure, time: 2, index: image)
      return Array(stream.permutation(grid * grid).prefix(count))
    case .listed(let places):
      for (number, place) in places.enumerated() where places[..<number].contains(place) {
        throw RunError("patch \(place.row),\(place.column) is asked for twice")
      }
      return try places.map { place in
        guard (0..<grid).contains(place.row), (0..<grid).contains(place.column) else {
          throw RunError(
            "there is no patch \(place.row),\(place.column): an image has \(grid) × \(grid), rows and columns "
              + "from 0 on")
        }
        return place.row * grid + place.column
      }
    }
  }

  /// What a row of weights [rows, heads, tokens] gives to patches, of one head or on average.
  private static func patchAttention(_ weights: Tensor, row: Int, head: Int?) -> [Float] {
    let (heads, tokens) = (weights.shape[1], weights.shape[2])
    let wanted = head.map { $0..<$0 + 1 } ?? 0..<heads
    let values = weights[row: row].elements
    return (1..<tokens).map { token in
      wanted.reduce(Float(0)) { $0 + values[$1 * tokens + token] } / Float(wanted.count)
    }
  }

  /// A map over the grayed image, brightest where it is greatest, with a line around the reference.
  private static func overlay(_ map: Map, on image: Image, grid: Int) -> Image {
    let side = image.width / grid
    let most = max(map.attention.max() ?? 0, .leastNormalMagnitude)
    var gray = image
    for pixel in 0..<gray.width * gray.height {
      let (red, green, blue) = (
        Double(gray.pixels[3 * pixel]), Double(gray.pixels[3 * pixel + 1]), Double(gray.pixels[3 * pixel + 2])
      )
      let luma = UInt8((0.299 * red + 0.587 * green + 0.114 * blue).rounded())
      for channel in 0..<3 { gray.pixels[3 * pixel + channel] = luma }
    }
    var painter = Painter(on: gray)
    for (patch, value) in map.attention.enumerated() {
      painter.rectangle(
        x: patch % grid * side, y: patch / grid * side, width: side, height: side,
        color: heat(Double(value / most)), opacity: 0.65)
    }
    painter.outline(
      x: map.reference % grid * side, y: map.reference / grid * side, width: side, height: side,
      thickness: max(2, side / 8), color: Painter.Color(red: 0, green: 230, blue: 255))
    return painter.image
  }

  /// Colors from black over red to pale yellow, of evenly growing brightness.
  private static func heat(_ value: Double) -> Painter.Color {
    let stops: [[Double]] = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]]
    // Written so that a NaN is the lowest.
    let place = (value > 0 ? min(value, 1) : 0) * Double(stops.count - 1)
    let first = min(Int(place), stops.count - 2)
    let mixed = zip(stops[first], stops[first + 1]).map { $0 + ($1 - $0) * (place - Double(first)) }
    return Painter.Color(
      red: UInt8(mixed[0].rounded()), green: UInt8(mixed[1].rounded()), blue: UInt8(mixed[2].rounded()))
  }
}
