import Configuration
import Imaging
import Layers
import Models
import Storage
import Terminal

/// What names and shapes of a transformer's weights do not tell of its model card, as far as something else does.
public struct WeightDescription: Equatable, Sendable {
  /// Attention heads of each block.
  public var heads: Int?
  /// Added to the variance by layer normalization.
  public var normEpsilon: Float?
  /// What images are normalized by.
  public var normalization: ImageNormalization?
  /// Length in pixels that the shorter side of an image is resized to for evaluation, before its middle is cut out.
  public var resize: Int?
  /// How images are resized.
  public var interpolation: ResampleFilter?
  /// The names of the classes, in the order of the head's logits.
  public var classes: [String]?
  /// How images were hidden while it learned to tell tokens.
  public var pretraining: ModelCard.Pretraining?
  /// Side of the images, for weights without a table of positions.
  public var imageSize: Int?
  /// All ways in which tokens know where they lie.
  public var positions: [PositionKind]?
  /// Whether nothing normalizes the tokens after the last block.
  public var lacksNorm = false
  /// Whether something says what network the weights are of.
  var isArchitectureTold = false
  /// What is said beside the weights and done otherwise here.
  var notes: [String] = []

  public init(
    heads: Int? = nil, normEpsilon: Float? = nil, normalization: ImageNormalization? = nil,
    resize: Int? = nil, interpolation: ResampleFilter? = nil, classes: [String]? = nil
  ) {
    (self.heads, self.normEpsilon, self.normalization) = (heads, normEpsilon, normalization)
    (self.resize, self.interpolation, self.classes) = (resize, interpolation, classes)
  }

  /// What `key.path=value` options say, the keys of configurations.
  ///
  /// - Throws: `ConfigurationError` for what is not known, or cannot be.
  public init(settings: [String]) throws {
    let reader = try ConfigurationReader(overrides: settings)
    heads = reader.optional("model.heads", .int(.between(1, 1024)))
    normEpsilon = reader.optional("model.norm_epsilon", .double(.above(0))).map { Float($0) }
    let none = "none"
    positions = reader.optional(
      "model.positions", .choice(of: [none] + PositionKind.allCases.map(\.rawValue))
    ).map { word in PositionKind(rawValue: word).map { [$0] } ?? [] }
    lacksNorm = reader.optional("model.norm", .choice(of: [none])) != nil
    imageSize = reader.optional("data.image_size", .imageSide)
    let mean = reader.optional("data.mean", .list(of: .double(.between(0, 1)), count: 3))
    let deviation = reader.optional("data.std", .list(of: .double(.above(0)), count: 3))
    reader.require(
      (mean == nil) == (deviation == nil), mean == nil ? "data.std" : "data.mean",
      "needs the other of data.mean and data.std")
    if let mean, let deviation {
      normalization = ImageNormalization(mean: mean, standardDeviation: deviation)
    }
    interpolation = reader.optional("data.interpolation", .choice())
    try reader.finish()
  }

  /// How images are shown; where it is not said, as for ImageNet.
  package var preprocessing: ModelCard.Preprocessing {
    ModelCard.Preprocessing(
      normalization: normalization ?? .imageNet, interpolation: interpolation ?? .bicubic, resize: resize)
  }
}

// MARK: - Beside the weights

extension WeightDescription {
  /// The same, and of what it does not say, what a safetensors file says of itself, or where it has no card of ours, what
  /// lies beside it.
  ///
  /// - Parameters:
  ///   - weights: The weights, under our names.
  ///   - exceptions: Files beside them, and keys in those, that are left out of account.
  ///   - advice: How to say what nothing says.
  /// - Throws: `RunError` with all that contradicts the weights, that means another network than ours, or that is not
  ///   known.
  package func completed(
    for weights: WeightFile, ignoring exceptions: Set<String> = [], advice: Advice = .importing
  ) throws -> WeightDescription {
    var result = self
    let facts = ModelCard.Architecture(parameterShapes: weights.shapes, heads: 1, normEpsilon: 1e-6)
    guard let facts else { return self }
    if let card = try ModelCard(metadata: weights.metadata, of: weights.path) {
      result.take(card)
    } else {
      try result.readBeside(weights, facts, ignoring: exceptions, advice: advice)
    }
    if let table = TransformerWeights.attentionHeads(weights.shapes) {
      guard result.heads ?? table == table else {
        throw RunError(
          "\(weights.path) is said to have \(result.heads ?? 0) attention heads, but its table of relative positions has "
            + "\(table)")
      }
      result.heads = table
    }
    // A side that the image cannot be cut out of belongs to images of another size than was asked for.
    if let side = result.resize, side < result.imageSize ?? facts.imageHeight { result.resize = nil }
    return result
  }

  /// How to say what nothing says, by who takes the weights up.
  package enum Advice {
    /// `peco import`.
    case importing
    /// Another command, which has no options for it.
    case using

    func callAsFunction(_ options: String) -> String {
      switch self {
      case .importing: "say \(options)"
      case .using: "make a checkpoint of it by `peco import` with \(options)"
      }
    }
  }

  private mutating func take(_ card: ModelCard) {
    let (architecture, preprocessing) = (card.architecture, card.preprocessing)
    heads = heads ?? architecture.heads
    normEpsilon = normEpsilon ?? Float(architecture.normEpsilon)
    normalization = normalization ?? preprocessing.normalization
    resize = resize ?? preprocessing.resize
    interpolation = interpolation ?? preprocessing.interpolation
    classes = classes ?? card.classes
    pretraining = pretraining ?? card.pretraining
    imageSize = imageSize ?? architecture.imageHeight
    lacksNorm = lacksNorm || architecture.norm == nil
    isArchitectureTold = true
  }

  private mutating func readBeside(
    _ weights: WeightFile, _ facts: ModelCard.Architecture, ignoring exceptions: Set<String>, advice: Advice
  ) throws {
    var problems: [String] = []
    for file in SidecarFile.allCases where !exceptions.contains(file.rawValue) {
      guard let object = try file.read(beside: weights.path) else { continue }
      let reader = SidecarReader(object, ignoring: exceptions)
      switch file {
      case .preprocessor: HuggingFacePreprocessor.read(reader, facts, into: &self)
      case .model where TimmConfiguration.isTimms(object): TimmConfiguration.read(reader, facts, into: &self)
      case .model where object["model_type"] != nil: HuggingFaceConfiguration.read(reader, facts, into: &self)
      case .model:
        problems.append(
          "\(file.rawValue) is neither Hugging Face's nor timm's: it has no model_type and no architecture")
      }
      problems += reader.allProblems().map { "\(file.rawValue): \($0)" }
      notes += reader.allNotes().map { "\(file.rawValue): \($0)" }
    }
    guard problems.isEmpty else {
      throw RunError(
        "\(weights.path) is not what peco computes, by what lies beside it: \(problems.joined(separator: "; ")). Where "
          + "something of this changes nothing, \(advice("--ignore KEY"))")
    }
  }

  /// Throws where names and shapes could be those of a network that computes otherwise, and nothing says which it is.
  ///
  /// - Parameters:
  ///   - weights: The weights, all of which have a place in ours.
  ///   - facts: What their names and shapes tell.
  ///   - advice: How to say what nothing says.
  package func requireKnownNetwork(
    _ weights: WeightFile, _ facts: ModelCard.Architecture, advice: Advice = .importing
  ) throws {
    if let positions {
      guard positions == facts.positions else {
        func words(_ positions: [PositionKind]) -> String {
          positions.isEmpty ? "none" : positions.map(\.rawValue).joined(separator: " and ")
        }
        throw RunError(
          "\(weights.path) is said to have the positions \(words(positions)), but has the tables of \(words(facts.positions))"
        )
      }
    } else if !isArchitectureTold {
      let isRelative = facts.positions.contains(.relative) || facts.positions.contains(.sharedRelative)
      // BEiT's, and the plain vision transformer's.
      let isKnown = isRelative || facts.positions == [.absolute] && facts.qkvBias == .full
      guard isKnown else {
        let lacking =
          facts.positions.isEmpty
          ? "has no table of positions: they may be rotary, which peco does not compute"
          : "has an absolute table of positions, and not the biases that a plain vision transformer has beside it: positions "
            + "may be rotary too, which peco does not compute"
        throw RunError(
          "\(weights.path) \(lacking), and nothing beside it says what it is; if it has no others, "
            + advice("--set model.positions=\(facts.positions.first?.rawValue ?? "none")"))
      }
    }
  }

  /// Takes up the sides of images.
  mutating func take(
    imageSides sides: [Int]?, _ key: String, _ file: SidecarReader, _ facts: ModelCard.Architecture
  ) {
    guard let sides, let side = sides.first else { return }
    guard sides.allSatisfy({ $0 == side }), side > 0 else {
      return file.refuse(key, "is \(sides), peco shows squares")
    }
    guard facts.positions.isEmpty else {
      if side != facts.imageHeight {
        file.refuse(key, "is \(side), but the table of positions is of images of \(facts.imageHeight)")
      }
      return
    }
    imageSize = imageSize ?? side
  }

  /// Takes up the names of classes, which have to be as many as the head has; names that transformers made up are none.
  /// Weights without a head have no classes, whatever lies beside them.
  mutating func take(
    classes names: [String]?, _ key: String, _ file: SidecarReader, _ facts: ModelCard.Architecture
  ) {
    guard classes == nil, let names, let count = facts.classes else { return }
    guard names.count == count else {
      return file.refuse(key, "has \(names.count) names, but the head has \(count) classes")
    }
    let isMadeUp = names.enumerated().allSatisfy {
      $0.element == HuggingFaceConfiguration.madeUpName($0.offset)
    }
    if !isMadeUp { classes = names }
  }

  /// Takes up a normalization, on a scale of 0 to 1.
  mutating func take(
    _ found: ImageNormalization, _ keys: (mean: String, deviation: String), _ file: SidecarReader
  ) {
    guard normalization == nil else { return }
    let advice = "say both by --mean and --std"
    if !found.mean.allSatisfy({ (0...1).contains($0) }) {
      file.refuse(keys.mean, "is \(found.mean) on a scale of 0 to 1; \(advice)")
    } else if !found.standardDeviation.allSatisfy({ $0 > 0 && $0 <= 4 }) {
      file.refuse(keys.deviation, "is \(found.standardDeviation) on a scale of 0 to 1; \(advice)")
    } else {
      normalization = found
    }
  }
}

// MARK: - In the header of a safetensors file

extension ModelCard {
  /// Its key among the free-form strings of a safetensors file's header.
  static let metadataKey = "peco.card"

  /// Out of the header of the file `path`; nil where there is none.
  ///
  /// - Throws: `RunError` where the card is not as we write it.
  init?(metadata: [String: String], of path: String) throws {
    guard let text = metadata[Self.metadataKey] else {
      guard metadata["peco.heads"] == nil else {
        throw RunError("\(path) was exported by an earlier version of peco; export it again with this one")
      }
      return nil
    }
    do {
      try self.init(json: text)
    } catch let error as ModelCardError {
      throw RunError(
        "\(path): \(Self.metadataKey) in its metadata is '\(text.prefix(40))', must be a model card: \(error)"
      )
    }
  }
}
