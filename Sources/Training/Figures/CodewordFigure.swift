import Communication
import Datasets
import Foundation
import Imaging
import Models
import Tensors

/// `peco figure codewords`: patches of different pictures that share a word of the codebook, PeCo's figure of what words
/// have come to mean.
public enum CodewordFigure {
  /// Which words are shown.
  public enum Words: Sendable, Equatable {
    /// So many, evenly over the ranks of those that occur in enough pictures.
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
    /// Words, one a row.
    public var words = Words.frequent(12)
    /// Patches of a word, each of another picture.
    public var patches = 10
    /// Patches around each that are shown with it.
    public var context = 1
    /// How many pictures are looked through, drawn by the seed; nil: 512, or all where there are fewer.
    public var pictures: Int?
    /// Decides pictures and patches.
    public var seed: UInt64 = 0

    public init(tokenizer: String, dataset: String) {
      self.tokenizer = tokenizer
      self.dataset = dataset
    }
  }

  /// Where a word was found.
  public struct Example: Sendable, Equatable {
    /// The picture's place in the dataset.
    public let picture: Int
    /// The token, row by row.
    public let token: Int
  }

  /// A word and its examples.
  public struct Entry: Sendable, Equatable {
    public let word: Int
    /// Share of all tokens that were looked at.
    public let share: Double
    public let examples: [Example]
  }

  /// What was drawn.
  public struct Figure: Sendable {
    public let entries: [Entry]
    public let table: PictureTable
  }

  /// Narrowest column.
  private static let cellWidth = 96

  /// A row a word.
  public static func draw(_ request: Request) throws -> Figure {
    let dataset = try PictureDataset(opening: request.dataset)
    let model = try TrainedTokenizer(path: request.tokenizer, communicator: Communicator()).model
    let indices = try PictureChoice.drawn(
      count: request.pictures ?? min(512, max(dataset.count, 1)), seed: request.seed
    ).indices(in: dataset)
    var tokens: [[Int32]] = []
    let samples = SampleRecipe.whole(tokenizerPicture: model.view)
    try dataset.forEachBatch(of: indices, samples) { batch in
      let words = model.tokens(try tokenizerPictures(batch))
      let size = words.count / batch.count
      for place in 0..<batch.count { tokens.append(Array(words[place * size..<(place + 1) * size])) }
    }
    let census = Census(tokens: tokens, vocabulary: model.vocabulary)
    let words = try choose(request, census, tokenizer: request.tokenizer)
    let entries = words.map { word in
      Entry(
        word: word, share: census.share(of: word),
        examples: census.examples(of: word, atMost: request.patches, seed: request.seed).map {
          Example(picture: indices[$0.row], token: $0.token)
        })
    }
    return Figure(entries: entries, table: try table(entries, request, dataset, model))
  }

  private static func tokenizerPictures(_ batch: Batch) throws -> Tensor {
    guard let pictures = batch.tokenizerPictures else { throw RunError("the loader gives no tokenizer view") }
    return pictures
  }

  private static func choose(_ request: Request, _ census: Census, tokenizer: String) throws -> [Int] {
    switch request.words {
    case .frequent(let count):
      // The most frequent words are those of plain surfaces: of `count` equal stretches of ranks, the middle of each.
      let candidates = census.words(inPictures: request.patches)
      guard count <= candidates.count else {
        throw RunError(
          "only \(candidates.count) words of \(tokenizer) occur in \(request.patches) or more of the "
            + "\(census.pictures) pictures looked through; ask for fewer --words or --patches, or more --pictures"
        )
      }
      return (0..<count).map { candidates[(2 * $0 + 1) * candidates.count / (2 * count)] }
    case .listed(let words):
      for word in words {
        guard word >= 0, word < census.vocabulary else {
          throw RunError(
            "there is no word \(word) in \(tokenizer), which has \(census.vocabulary), from 0 on")
        }
        guard census.share(of: word) > 0 else {
          throw RunError(
            "word \(word) occurs in none of the \(census.pictures) pictures looked through; give more --pictures"
          )
        }
      }
      return words
    }
  }

  private static func table(
    _ entries: [Entry], _ request: Request, _ dataset: PictureDataset, _ model: any Tokenizer
  ) throws -> PictureTable {
    let examples = entries.flatMap(\.examples)
    let pictures = Set(examples.map(\.picture)).sorted()
    let wanted = Dictionary(grouping: examples, by: \.picture)
    var cells: [Int: [Int: Image]] = [:]
    let (grid, side, context) = (model.gridSize, model.patchSize, request.context)
    try dataset.forEachBatch(of: pictures, .whole(tokenizerPicture: model.view)) { batch in
      let view = try tokenizerPictures(batch)
      for (place, picture) in batch.samples.enumerated() {
        let image = model.image(view, place)
        for example in wanted[picture] ?? [] {
          let (row, column) = example.token.quotientAndRemainder(dividingBy: grid)
          let window = (2 * context + 1) * side
          cells[picture, default: [:]][example.token] = framed(
            image.window(
              x: (column - context) * side, y: (row - context) * side, width: window, height: window),
            context: context)
        }
      }
    }
    return PictureTable(
      rows: entries.map { entry in
        PictureTable.Row(
          caption: ["word \(entry.word)", String(format: "%.2f %%", 100 * entry.share)],
          pictures: entry.examples.compactMap { cells[$0.picture]?[$0.token] })
      })
  }

  /// A window enlarged, with a line around the patch where there is something around it.
  private static func framed(_ window: Image, context: Int) -> Image {
    let image = window.enlarged(towards: cellWidth)
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

/// Which words occur where.
private struct Census {
  /// Words of each picture, token by token.
  let tokens: [[Int32]]
  let vocabulary: Int
  private let uses: [Int]
  /// For each word the pictures, by their place, that have it.
  private let places: [[Int]]

  init(tokens: [[Int32]], vocabulary: Int) {
    var uses = [Int](repeating: 0, count: vocabulary)
    var places = [[Int]](repeating: [], count: vocabulary)
    for (row, words) in tokens.enumerated() {
      for word in words { uses[Int(word)] += 1 }
      for word in Set(words) { places[Int(word)].append(row) }
    }
    self.tokens = tokens
    self.vocabulary = vocabulary
    self.uses = uses
    self.places = places
  }

  var pictures: Int { tokens.count }

  func share(of word: Int) -> Double {
    Double(uses[word]) / Double(max(1, tokens.reduce(0) { $0 + $1.count }))
  }

  /// Words in so many pictures or more, those in most first, of equal ones the lowest.
  func words(inPictures least: Int) -> [Int] {
    (0..<vocabulary).filter { places[$0].count >= least }
      .sorted { (places[$1].count, $0) < (places[$0].count, $1) }
  }

  /// A token of the word in each of some pictures that have it.
  func examples(of word: Int, atMost count: Int, seed: UInt64) -> [(row: Int, token: Int)] {
    var stream = RandomStream(seed: seed, purpose: .figure, time: 1, index: word)
    return stream.permutation(places[word].count).prefix(count).map { place in
      let row = places[word][place]
      let found = tokens[row].indices.filter { tokens[row][$0] == word }
      return (row, found[stream.integer(below: found.count)])
    }
  }
}
