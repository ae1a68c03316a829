import Communication
import Configuration
import Foundation
import Models
import Storage
import Tensors
import Terminal
import Trainer

/// `peco import` and `peco export`: weights of vision transformers between checkpoints and safetensors files in the
/// naming of others.
public enum WeightConversion {
  /// What `peco import` is asked to do.
  public struct ImportRequest: Sendable {
    /// The safetensors file.
    public var source: String
    /// Whose names it has.
    public var layout: WeightLayout
    /// The checkpoint to be written.
    public var output: String
    /// Attention heads of each block; nil: as the file or what lies beside it tells.
    public var heads: Int?
    /// Added to the variance by layer normalization; nil: likewise.
    public var normEpsilon: Float?
    /// What images are normalized by; nil: likewise.
    public var normalization: ImageNormalization?
    /// The names of the classes, in the order of the head's logits; nil: likewise.
    public var classes: [String]?
    /// Whether anything that does not match is an error.
    public var isStrict: Bool

    public init(
      source: String, layout: WeightLayout, output: String, heads: Int? = nil, normEpsilon: Float? = nil,
      normalization: ImageNormalization? = nil, classes: [String]? = nil, isStrict: Bool = false
    ) {
      self.source = source
      self.layout = layout
      self.output = output
      self.heads = heads
      self.normEpsilon = normEpsilon
      self.normalization = normalization
      self.classes = classes
      self.isStrict = isStrict
    }

    /// The names of classes in a text file, one a line.
    ///
    /// - Throws: `RunError` where there is no such file, or no text in it.
    public static func classNames(in path: String) throws -> [String] {
      guard let data = FileManager.default.contents(atPath: path) else {
        throw RunError("there is no file \(path) with the names of the classes")
      }
      let lines = String(decoding: data, as: UTF8.self).split(whereSeparator: \.isNewline)
      guard !lines.isEmpty else {
        throw RunError("\(path) is empty; each line must have the name of a class")
      }
      return lines.map(String.init)
    }
  }

  /// What came of a conversion.
  public struct Report: Sendable {
    /// The transformer in a line.
    public var summary: String
    /// Tensors written.
    public var tensors = 0
    /// Names of the source that found no place, each with its shape, and why.
    public var unmatched: [String] = []
    /// What found no place and changes no result.
    public var notes: [String] = []
    /// Whether the output was written.
    public var isWritten = true
    /// Files that were there and were kept, though they say something else than would have been written; and what.
    public var kept: [String] = []
  }

  // MARK: - Import

  /// Reads a safetensors file into a checkpoint.
  ///
  /// - Throws: `RunError` where something that the transformer needs is missing or has another shape.
  public static func importWeights(_ request: ImportRequest) throws -> Report {
    try FileSystem.requireOutput(request.output, madeFrom: [request.source])
    let foreign = try ForeignWeights(opening: request.source, layout: request.layout)
    let shapes = foreign.weights.shapes
    let width = shapes["patch_embed.proj.weight"]?.first ?? 0
    // The size of images does not hang on heads.
    let imageSize = VisionTransformerConfiguration(parameterShapes: shapes, heads: 1)?.imageSize
    let told = try WeightDescription(
      heads: request.heads ?? TransformerWeights.attentionHeads(shapes), normEpsilon: request.normEpsilon,
      normalization: request.normalization, classes: request.classes
    ).completed(
      by: foreign.metadata, beside: request.source, layout: request.layout, imageSize: imageSize ?? 0)
    guard let heads = told.heads ?? ViTSize.heads(width: width, prefix: foreign.prefix) else {
      throw RunError(
        "\(request.source) does not tell how many attention heads its transformer, \(width) wide, has; say it "
          + "with --heads")
    }
    guard
      let architecture = ModelCard.Architecture(
        parameterShapes: shapes, heads: heads, normEpsilon: told.normEpsilon ?? request.layout.normEpsilon)
    else {
      throw RunError("\(request.source) holds no vision transformer: its names are not BEiT's")
    }
    let scope = ParameterScope(seed: 0)
    let model = try architecture.makeModel(in: scope, of: request.source)
    if let names = request.classes, names.count != architecture.classes ?? 0 {
      throw RunError(
        "\(names.count) names of classes are given; the head of \(request.source) tells "
          + "\(architecture.classes ?? 0) classes apart")
    }
    let classes = told.classes?.count == architecture.classes ? told.classes : nil
    let taken = Set(scope.parameters.map(\.name))
    var report = Report(summary: model.summary, tensors: taken.count, unmatched: foreign.unmatched)
    report.unmatched += shapes.keys.filter { !taken.contains($0) }.sorted().map {
      "\($0) \(shapes[$0] ?? []): the transformer has no place for it"
    }
    let differences = scope.parameters.compactMap { parameter -> String? in
      guard let found = shapes[parameter.name] else {
        return "\(parameter.name) \(parameter.shape) is missing"
      }
      return found == parameter.shape
        ? nil : "\(parameter.name) is \(found), the transformer needs \(parameter.shape)"
    }
    guard differences.isEmpty else {
      let others = report.unmatched.isEmpty ? "" : "; unmatched: " + report.unmatched.joined(separator: "; ")
      throw RunError(
        "\(request.source), read as \(request.layout.rawValue): " + differences.joined(separator: "; ")
          + others
      )
    }
    guard !request.isStrict || report.unmatched.isEmpty else {
      report.isWritten = false
      return report
    }
    try foreign.weights.fill(scope.parameters)
    report.summary +=
      told.normalization.map { "; \($0.summary)" }
      ?? "; nothing says what images are normalized by, ImageNet's is taken"
    if let first = classes?.first, let last = classes?.last {
      report.summary += "; the classes are '\(first)' to '\(last)'"
    }
    let source: [(key: String, value: String)] = [
      ("weights.source", JSONObject.quoted((request.source as NSString).lastPathComponent)),
      ("weights.layout", request.layout.rawValue),
    ]
    let header = CheckpointHeader(
      task: CheckpointHeader.imported, step: 0, epoch: 0, samplePosition: 0, updates: 0, seed: 0,
      configuration: ResolvedConfiguration.yaml(source),
      card: ModelCard(architecture, told.preprocessing, classes: classes))
    try Checkpoint.write(header, parameters: scope.parameters, optimizer: nil, to: request.output)
    return report
  }

  // MARK: - Export

  /// Writes a checkpoint's weights into a safetensors file, with what they do not tell in its header; for timm and
  /// Hugging Face `config.json` beside it, and for the latter `preprocessor_config.json`, unless they are there.
  ///
  /// timm's models have a table of relative positions in each block: one that all blocks share is written for each.
  ///
  /// - Parameters:
  ///   - averaged: Whether fine-tuning's moving averages are wanted in place of the weights themselves.
  ///   - isStrict: Whether nothing is written where something that matters has no place there.
  public static func export(
    checkpoint: String, layout: WeightLayout, output: String, averaged: Bool, isStrict: Bool = false
  ) throws -> Report {
    try FileSystem.requireOutput(output, madeFrom: [checkpoint])
    let (file, card) = try TransformerWeights.open(checkpoint, averaged: averaged)
    let architecture = card.architecture.transformer
    guard architecture.qkvBias != .none || layout != .huggingface else {
      throw RunError(
        "\(file.path): its queries and values have no bias, as Hugging Face's BEiT must have them")
    }
    let model: NameRule.Model = layout == .timm && architecture.isPlain ? .plain : .beit
    var report = Report(summary: "\(architecture.summary); \(card.preprocessing.normalization.summary)")
    var tensors: [(name: String, shape: [Int], values: [Float])] = []
    for (name, shape) in file.shapes.sorted(by: { $0.key < $1.key }) {
      guard let (rule, block) = rule(for: name, in: layout, model) else {
        report.unmatched.append("\(name) \(shape): \(layout.rawValue) has no place for it")
        continue
      }
      let values = try file.values(of: name)
      if layout == .timm, name == WeightLayout.sharedTable {
        for block in 0..<architecture.depth {
          tensors.append(
            (name: WeightLayout.name(WeightLayout.table, block: block), shape: shape, values: values))
        }
        continue
      }
      let size = values.count / rule.theirs.count
      for (part, pattern) in rule.theirs.enumerated() {
        guard let pattern else {
          report.notes.append(
            "\(name), the keys' part: \(layout.rawValue) has no place for it, and it changes no result")
          continue
        }
        let prefix = layout.exportPrefix(of: name, card.architecture)
        tensors.append(
          (
            prefix + WeightLayout.name(pattern, block: block),
            [shape[0] / rule.theirs.count] + shape.dropFirst(),
            Array(values[part * size..<(part + 1) * size])
          ))
      }
    }
    guard !isStrict || report.unmatched.isEmpty else {
      report.isWritten = false
      return report
    }
    report.tensors = tensors.count
    // Transformers reads files of PyTorch's alone.
    let metadata = ["format": "pt", ModelCard.metadataKey: try card.json()]
    try SafetensorsFile.write(tensors: tensors, metadata: metadata, to: output)
    switch layout {
    case .beit: break
    case .timm: report.kept = try TimmConfiguration.write(beside: output, card)
    case .huggingface: report.kept = try HuggingFaceConfiguration.write(beside: output, card)
    }
    return report
  }

  private static func rule(
    for name: String, in layout: WeightLayout, _ model: NameRule.Model
  ) -> (NameRule, block: Int)? {
    for rule in layout.rules where rule.model == nil || rule.model == model {
      if let block = WeightLayout.block(of: name, in: rule.ours) { return (rule, block) }
    }
    return nil
  }
}

/// A safetensors file of others' naming, under our names.
struct ForeignWeights {
  let weights: WeightFile
  /// The free-form strings in the file's header.
  let metadata: [String: String]
  /// What the names of the transformer begin with in the file.
  package let prefix: String
  /// Names that no rule knows, or whose other parts are missing, each with its shape and the reason.
  let unmatched: [String]

  init(opening path: String, layout: WeightLayout) throws {
    let file = try SafetensorsFile(opening: path)
    let anchors = file.names.filter { $0 == layout.anchor || $0.hasSuffix("." + layout.anchor) }
    guard let anchor = anchors.min(by: { $0.count < $1.count }) else {
      throw RunError(
        "\(path) has no '\(layout.anchor)' among its \(file.names.count) names (the first: "
          + file.names.prefix(3).map { "'\($0)'" }.joined(separator: ", ")
          + "); is its layout another than \(layout.rawValue)?")
    }
    // Heads may stand beside what has the prefix.
    let prefix = String(anchor.dropLast(layout.anchor.count))
    var parts: [String: [Int: String]] = [:]
    var rules: [String: NameRule] = [:]
    var unmatched: [String] = []
    for stored in file.names where !WeightLayout.isBuffer(stored) {
      let isInside = stored.hasPrefix(prefix)
      let name = isInside ? String(stored.dropFirst(prefix.count)) : stored
      guard isInside || prefix == layout.prefix, let (rule, part, block) = Self.match(name, layout) else {
        unmatched.append("\(stored) \(try file.shape(of: stored)): not a name of \(layout.rawValue)'s")
        continue
      }
      let ours = WeightLayout.name(rule.ours, block: block)
      if let other = parts[ours]?[part] {
        unmatched.append("\(stored) \(try file.shape(of: stored)): stands for the same as \(other)")
        continue
      }
      parts[ours, default: [:]][part] = stored
      rules[ours] = rule
    }

    var shapes: [String: [Int]] = [:]
    var sources: [String: [String]] = [:]
    for (ours, found) in parts {
      let count = rules[ours]?.theirs.count ?? 1
      let stored = (0..<count).compactMap { found[$0] }
      let all = try stored.map { try file.shape(of: $0) }
      guard stored.count == count, let first = all.first, all.allSatisfy({ $0 == first }) else {
        for (name, shape) in zip(stored, all) {
          unmatched.append("\(name) \(shape): the other parts of \(ours) are missing or have other shapes")
        }
        continue
      }
      shapes[ours] = count == 1 ? first : [first[0] * count] + first.dropFirst()
      sources[ours] = stored
    }
    metadata = file.metadata
    self.prefix = prefix
    self.unmatched = unmatched.sorted()
    weights = WeightFile(path: path, shapes: shapes) { name in
      try (sources[name] ?? []).flatMap { try file.readFloats($0) }
    }
  }

  private static func match(_ name: String, _ layout: WeightLayout) -> (NameRule, part: Int, block: Int)? {
    for rule in layout.rules where rule.isWhole {
      for (part, pattern) in rule.theirs.enumerated() {
        if let pattern, let block = WeightLayout.block(of: name, in: pattern) { return (rule, part, block) }
      }
    }
    return nil
  }
}

extension WeightLayout {
  /// What layer normalization adds to the variance unless a model says otherwise.
  fileprivate var normEpsilon: Float { self == .huggingface ? 1e-12 : 1e-6 }

  /// What a name of theirs begins with in a file we write.
  ///
  /// Hugging Face's models with a head have their transformer inside, but for the last norm of the one that predicts masked
  /// patches.
  fileprivate func exportPrefix(of ours: String, _ card: ModelCard.Architecture) -> String {
    guard card.head != nil else { return "" }
    let isOutside =
      ours.hasPrefix("lm_head.") || ours.hasPrefix("head.")
      || (ours.hasPrefix("norm.") && card.vocabulary != nil)
    return isOutside ? "" : prefix
  }
}

extension VisionTransformerConfiguration {
  /// The transformer in a few words.
  var summary: String {
    "a transformer of \(depth) blocks, \(width) wide, \(heads) heads, patches of \(patchSize)², images of "
      + "\(imageSize)²"
  }
}

extension TransformerModel {
  /// The transformer and its head in a few words.
  fileprivate var summary: String {
    let body = backbone.configuration.summary
    switch self {
    case .backbone: return body
    case .maskedImage(let model): return body + ", and a head for \(model.head.weight.shape[0]) tokens"
    case .classification(let model): return body + ", and a head for \(model.head.weight.shape[0]) classes"
    }
  }
}
