import Communication
import Configuration
import Datasets
import Foundation
import Imaging
import Models
import TaskSupport
import Tensors
import Terminal
import Visualization

/// `peco figure codebook`: patches of different images that share a code of the codebook, PeCo's figure of what codes
/// have come to mean.
public enum CodebookFigure {
  /// Which codes are shown.
  public enum Codes: Sendable, Equatable {
    /// So many, evenly over the ranks of those that occur in enough images.
    case frequent(Int)
    /// These.
    case listed([Int])
  }

  /// What is to be drawn.
  public struct Request: Sendable {
    /// The tokenizer's checkpoint or run.
    public var tokenizer: String
    /// The dataset.
    public var dataset: String
    /// Codes, one a row.
    public var codes = Codes.frequent(12)
    /// Patches of a code, each of another image.
    public var patches = 10
    /// Patches around each that are shown with it.
    public var context = 1
    /// How many images are looked through, drawn by the seed; nil: 512, or all where there are fewer.
    public var images: Int?
    /// Decides images and patches.
    public var seed: UInt64 = 0

    public init(tokenizer: String, dataset: String) {
      self.tokenizer = tokenizer
      self.dataset = dataset
    }
  }

  /// Where a code was found.
  public struct Example: Sendable, Equatable {
    /// The image's place in the dataset.
    public let image: Int
    /// The token, row by row.
    public let token: Int
  }

  /// A code and its examples.
  public struct Entry: Sendable, Equatable {
    public let code: Int
    /// Share of all tokens that were looked at.
    public let share: Double
    public let examples: [Example]
  }

  /// What was drawn.
  public struct Figure: Sendable {
    public let entries: [Entry]
    public let table: ImageTable
  }

  /// Narrowest column.
  private static let cellWidth = 96

  /// A row a code.
  public static func draw(_ request: Request) throws -> Figure {
    let dataset = try namingKeys { try ImageDataset(opening: request.dataset) }
    let model = try TrainedTokenizer(path: request.tokenizer, communicator: Communicator()).model
    let indices = try ImageChoice.drawn(
      count: request.images ?? min(512, max(dataset.count, 1)), seed: request.seed
    ).indices(in: dataset)
    var tokens: [[Int32]] = []
    let samples = SamplePipeline.whole(tokenizerImage: model.preprocessing)
    try dataset.forEachBatch(of: indices, samples) { batch in
      let codes = model.tokens(try batch.requiredTokenizerImages)
      let size = codes.count / batch.count
      for place in 0..<batch.count { tokens.append(Array(codes[place * size..<(place + 1) * size])) }
    }
    let census = Census(tokens: tokens, vocabulary: model.vocabulary)
    let codes = try choose(request, census, tokenizer: request.tokenizer)
    let entries = codes.map { code in
      Entry(
        code: code, share: census.share(of: code),
        examples: census.examples(of: code, atMost: request.patches, seed: request.seed).map {
          Example(image: indices[$0.row], token: $0.token)
        })
    }
    return Figure(entries: entries, table: try table(entries, request, dataset, model))
  }

  private static func choose(_ request: Request, _ census: Census, tokenizer: String) throws -> [Int] {
    switch request.codes {
    case .frequent(let count):
      // The most frequent codes are those of plain surfaces: of `count` equal stretches of ranks, the middle of each.
      let candidates = census.codes(inImages: request.patches)
      guard count <= candidates.count else {
        throw RunError(
          "only \(candidates.count) codes of \(tokenizer) occur in \(request.patches) or more of the "
            + "\(census.images) images looked through; ask for fewer --codes or --patches, or more --images"
        )
      }
      return (0..<count).map { candidates[(2 * $0 + 1) * candidates.count / (2 * count)] }
    case .listed(let codes):
      for code in codes {
        guard code >= 0, code < census.vocabulary else {
          throw RunError(
            "there is no code \(code) in \(tokenizer), which has \(census.vocabulary), from 0 on")
        }
        guard census.share(of: code) > 0 else {
          throw RunError(
            "code \(code) occurs in none of the \(census.images) images looked through; give more --images"
          )
        }
      }
      return codes
    }
  }

  private static func table(
    _ entries: [Entry], _ request: Request, _ dataset: ImageDataset, _ model: any Tokenizer
  ) throws -> ImageTable {
    let examples = entries.flatMap(\.examples)
    let images = Set(examples.map(\.image)).sorted()
    let wanted = Dictionary(grouping: examples, by: \.image)
    var cells: [Int: [Int: Image]] = [:]
    let (grid, side, context) = (model.gridSize, model.patchSize, request.context)
    try dataset.forEachBatch(of: images, .whole(tokenizerImage: model.preprocessing)) { batch in
      let view = try batch.requiredTokenizerImages
      for (place, index) in batch.samples.enumerated() {
        let image = model.image(view, place)
        for example in wanted[index] ?? [] {
          let (row, column) = example.token.quotientAndRemainder(dividingBy: grid)
          let window = (2 * context + 1) * side
          cells[index, default: [:]][example.token] = framed(
            image.window(
              x: (column - context) * side, y: (row - context) * side, width: window, height: window),
            context: context)
        }
      }
    }
    return ImageTable(
      rows: entries.map { entry in
        ImageTable.Row(
          caption: ["code \(entry.code)", String(format: "%.2f %%", 100 * entry.share)],
          images: entry.examples.compactMap { cells[$0.image]?[$0.token] })
      })
  }

  /// A window enlarged, with a line around the patch where there is something around it.
  private static func framed(_ window: Image, context: Int) -> Image {
    let image = window.enlarged(toward: cellWidth)
    guard context > 0 else { return image }
    let side = image.width / (2 * context + 1)
    let thickness = 2
    var painter = Painter(on: image)
    painter.outline(
      x: context * side - thickness, y: context * side - thickness, width: side + 2 * thickness,
      height: side + 2 * thickness, thickness: thickness, color: .yellow)
    return painter.image
  }
}

/// Which codes occur where.
private struct Census {
  /// Codes of each image, token by token.
  let tokens: [[Int32]]
  let vocabulary: Int
  private let uses: [Int]
  /// For each code the images, by their place, that have it.
  private let places: [[Int]]

  init(tokens: [[Int32]], vocabulary: Int) {
    var uses = [Int](repeating: 0, count: vocabulary)
    var places = [[Int]](repeating: [], count: vocabulary)
    for (row, codes) in tokens.enumerated() {
      for code in codes { uses[Int(code)] += 1 }
      for code in Set(codes) { places[Int(code)].append(row) }
    }
    self.tokens = tokens
    self.vocabulary = vocabulary
    self.uses = uses
    self.places = places
  }

  var images: Int { tokens.count }

  func share(of code: Int) -> Double {
    Double(uses[code]) / Double(max(1, tokens.reduce(0) { $0 + $1.count }))
  }

  /// Codes in so many images or more, those in most first, of equal ones the lowest.
  func codes(inImages least: Int) -> [Int] {
    (0..<vocabulary).filter { places[$0].count >= least }
      .sorted { (places[$1].count, $0) < (places[$0].count, $1) }
  }

  /// A token of the code in each of some images that have it.
  func examples(of code: Int, atMost count: Int, seed: UInt64) -> [(row: Int, token: Int)] {
    var stream = RandomStream(seed: seed, purpose: .figure, time: 1, index: code)
    return stream.permutation(places[code].count).prefix(count).map { place in
      let row = places[code][place]
      let found = tokens[row].indices.filter { tokens[row][$0] == code }
      return (row, found[stream.integer(below: found.count)])
    }
  }
}
