import Communication
import Foundation
import Models
import Storage
import Tensors

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
    /// Attention heads of each block, where the file does not tell.
    public var heads: Int?
    /// Added to the variance by layer normalisation, where the file does not tell.
    public var normEpsilon: Float?
    /// What pictures are normalised by; nil: as what lies beside the file says.
    public var normalization: PictureNormalization?
    /// Whether anything that does not match is an error.
    public var isStrict: Bool

    public init(
      source: String, layout: WeightLayout, output: String, heads: Int? = nil, normEpsilon: Float? = nil,
      normalization: PictureNormalization? = nil, isStrict: Bool = false
    ) {
      self.source = source
      self.layout = layout
      self.output = output
      self.heads = heads
      self.normEpsilon = normEpsilon
      self.normalization = normalization
      self.isStrict = isStrict
    }
  }

  /// What came of a conversion.
  public struct Report: Sendable {
    /// The transformer in a line.
    public var summary: String
    /// Tensors written.
    public var tensors = 0
    /// Names of the source that found no place, and why.
    public var unmatched: [String] = []
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
    let configuration = HuggingFaceConfiguration(beside: request.source, layout: request.layout)
    let width = shapes["patch_embed.proj.weight"]?.first ?? 0
    guard
      let heads = request.heads ?? TransformerWeights.attentionHeads(shapes) ?? configuration?.heads
        ?? ViTSize.heads(width: width, prefix: foreign.prefix)
    else {
      throw RunError(
        "\(request.source) does not tell how many attention heads its transformer, \(width) wide, has; say it "
          + "with --heads")
    }
    let normalization = try request.normalization ?? PictureNormalization(beside: request.source)
    let epsilon = request.normEpsilon ?? configuration?.normEpsilon ?? request.layout.normEpsilon
    let form = TransformerForm(shapes: shapes, heads: heads, normEpsilon: epsilon)
    let scope = ParameterScope(seed: 0)
    let model = try form.makeModel(in: scope, of: request.source)
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
    var settings: [(key: String, value: String)] = [
      ("weights.source", JSONObject.quoted((request.source as NSString).lastPathComponent)),
      ("weights.layout", request.layout.rawValue), ("model.heads", "\(heads)"),
      ("model.norm_epsilon", "\(epsilon)"),
    ]
    if let normalization {
      settings += [
        ("data.mean", "\(normalization.mean)"), ("data.std", "\(normalization.standardDeviation)"),
      ]
      report.summary +=
        "; pictures normalised by \(normalization.mean) and \(normalization.standardDeviation)"
    }
    if let resize = configuration?.resize { settings.append(("evaluation.resize", "\(resize)")) }
    let text = ResolvedConfiguration.yaml(settings)
    let header = CheckpointHeader(
      kind: .imported, step: 0, epoch: 0, samplePosition: 0, updates: 0, seed: 0, configuration: text)
    try Checkpoint.write(header, parameters: scope.parameters, optimizer: nil, to: request.output)
    return report
  }

  // MARK: - Export

  /// Writes a checkpoint's weights into a safetensors file; for Hugging Face `config.json` and
  /// `preprocessor_config.json` beside it, unless they are there.
  ///
  /// timm's models have a table of relative positions in each block: one that all blocks share is written for each.
  ///
  /// - Parameter averaged: Whether fine-tuning's moving averages are wanted in place of the weights themselves.
  public static func export(
    checkpoint: String, layout: WeightLayout, output: String, averaged: Bool
  ) throws -> Report {
    try FileSystem.requireOutput(output, madeFrom: [checkpoint])
    let (file, form) = try TransformerWeights.open(checkpoint, averaged: averaged)
    guard let architecture = form.architecture else {
      throw RunError("\(file.path) holds no vision transformer")
    }
    guard architecture.qkvBias != .none || layout != .huggingface else {
      throw RunError(
        "\(file.path): its queries and values have no bias, as Hugging Face's BEiT must have them")
    }
    let isPlain =
      layout == .timm && architecture.qkvBias != .queryValue
      && architecture.positions.isDisjoint(with: [.relative, .sharedRelative])
    var report = Report(summary: "\(architecture.summary)")
    var tensors: [(name: String, shape: [Int], values: [Float])] = []
    for (name, shape) in form.shapes.sorted(by: { $0.key < $1.key }) {
      guard let (rule, block) = rule(for: name, in: layout, isPlain ? .plain : .beit) else {
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
          report.unmatched.append(
            "\(name), the keys' part: \(layout.rawValue) has no place for it, and it changes no result")
          continue
        }
        let prefix = layout.exportPrefix(of: name, form)
        tensors.append(
          (
            prefix + WeightLayout.name(pattern, block: block),
            [shape[0] / rule.theirs.count] + shape.dropFirst(),
            Array(values[part * size..<(part + 1) * size])
          ))
      }
    }
    report.tensors = tensors.count
    // Transformers reads files of PyTorch's alone.
    try SafetensorsFile.write(tensors: tensors, metadata: ["format": "pt"], to: output)
    if layout == .huggingface {
      report.kept = try HuggingFaceConfiguration.write(beside: output, architecture, form)
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
  /// What the names of the transformer begin with in the file.
  let prefix: String
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
  /// What layer normalisation adds to the variance unless a model says otherwise.
  fileprivate var normEpsilon: Float { self == .huggingface ? 1e-12 : 1e-6 }

  /// What a name of theirs begins with in a file we write.
  ///
  /// Hugging Face's models with a head have their transformer inside, but for the last norm of the one that predicts masked
  /// patches.
  fileprivate func exportPrefix(of ours: String, _ form: TransformerForm) -> String {
    guard form.vocabulary != nil || form.classes != nil else { return "" }
    let isOutside =
      ours.hasPrefix("lm_head.") || ours.hasPrefix("head.")
      || (ours.hasPrefix("norm.") && form.vocabulary != nil)
    return isOutside ? "" : prefix
  }
}

extension VisionTransformerConfiguration {
  /// The transformer in a few words.
  var summary: String {
    "a transformer of \(depth) blocks, \(width) wide, \(heads) heads, patches of \(patchSize)², pictures of "
      + "\(imageSize)²"
  }
}

extension TransformerModel {
  /// The transformer and its head in a few words.
  fileprivate var summary: String {
    let body = backbone.configuration.summary
    switch self {
    case .backbone: return body
    case .maskedImage(let model): return body + ", and a head for \(model.head.weight.shape[0]) words"
    case .classification(let model): return body + ", and a head for \(model.head.weight.shape[0]) classes"
    }
  }
}
