import Communication
import Configuration
import Foundation
import Imaging
import Layers
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
    /// A safetensors file, the index of several or their folder, or a file of `torch.save`.
    public var source: String
    /// Whose names it has.
    public var layout: WeightLayout
    /// The checkpoint to be written.
    public var output: String
    /// What is said of the weights, and goes before what they say themselves.
    public var told: WeightDescription
    /// Files beside the weights, keys in those and tensors that are left out of account, tensors by their names or what
    /// these begin with.
    public var exceptions: Set<String>
    /// Whether anything that does not match is an error.
    public var isStrict: Bool

    public init(
      source: String, layout: WeightLayout, output: String, told: WeightDescription = WeightDescription(),
      ignoring exceptions: Set<String> = [], isStrict: Bool = false
    ) {
      self.source = source
      self.layout = layout
      self.output = output
      self.told = told
      self.exceptions = exceptions
      self.isStrict = isStrict
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

  /// Reads weights of others into a checkpoint.
  ///
  /// - Throws: `RunError` where something that the transformer needs is missing or has another shape.
  public static func importWeights(_ request: ImportRequest) throws -> Report {
    try FileSystem.requireOutput(request.output, madeFrom: [request.source])
    let names = request.layout.importTable
    let foreign = try WeightFile(
      StoredTensors.foreign(request.source).leavingOut(request.exceptions), named: names)
    let shapes = foreign.shapes
    let told = try request.told.completed(for: foreign, ignoring: request.exceptions)
    let width = shapes["patch_embed.proj.weight"]?.first ?? 0
    guard let heads = told.heads ?? ViTSize.heads(width: width, prefix: foreign.prefix) else {
      let usual = ViTSize.allCases.first { $0.width == width }?.heads
      throw RunError(
        "\(request.source) does not tell how many attention heads its transformer, \(width) wide, has, nor does anything "
          + "beside it; say it by --heads"
          + (usual.map { ": published transformers of that width mostly have \($0)" } ?? ""))
    }
    guard
      var architecture = ModelCard.Architecture(
        parameterShapes: shapes, heads: heads, normEpsilon: told.normEpsilon ?? names.normEpsilon)
    else {
      throw RunError("\(request.source) holds no vision transformer: its names are not BEiT's")
    }
    if let side = told.imageSize, architecture.positions.isEmpty {
      (architecture.imageHeight, architecture.imageWidth) = (side, side)
    }
    guard architecture.norm != nil || told.lacksNorm else {
      throw RunError(
        "\(request.source) has neither 'norm.weight' nor 'fc_norm.weight', which a transformer ends with; if it ends "
          + "without, say --set model.norm=none")
    }
    let scope = ParameterScope(seed: 0)
    let model = try architecture.makeModel(in: scope, of: request.source)
    if let names = request.told.classes, names.count != architecture.classes ?? 0 {
      throw RunError(
        "\(names.count) names of classes are given; the head of \(request.source) tells "
          + "\(architecture.classes ?? 0) classes apart")
    }
    let classes = architecture.classes == nil ? nil : told.classes
    let taken = Set(scope.parameters.map(\.name))
    var report = Report(summary: model.backbone.configuration.summary, tensors: taken.count)
    if let head = architecture.head, taken.contains(head.kind.layer + ".weight") {
      report.summary += ", and a head for \(head.outputs) \(head.kind.name)"
    }
    report.notes = told.notes
    let differences = scope.parameters.compactMap { parameter -> String? in
      guard let found = shapes[parameter.name] else {
        return "\(parameter.name) \(parameter.shape) is missing"
      }
      return found == parameter.shape
        ? nil : "\(parameter.name) is \(found), the transformer needs \(parameter.shape)"
    }
    guard differences.isEmpty else {
      let others =
        foreign.unmatched.isEmpty
        ? "" : "; unmatched: " + foreign.unmatched.map { "\($0)" }.joined(separator: "; ")
      throw RunError(
        "\(request.source), read as \(request.layout.rawValue): " + differences.joined(separator: "; ")
          + others
      )
    }
    report.unmatched = try foreign.besideBody(
      of: "the transformer", known: taken, advice: "leave out what changes nothing by --ignore NAME")
    try told.requireKnownNetwork(foreign, architecture)
    guard !request.isStrict || report.unmatched.isEmpty else {
      report.isWritten = false
      return report
    }
    try foreign.fill(scope.parameters)
    report.summary +=
      told.normalization.map { "; \($0.summary)" }
      ?? "; nothing says what images are normalized by, ImageNet's is taken"
    if let first = classes?.first, let last = classes?.last {
      report.summary += "; the classes are '\(first)' to '\(last)'"
    }
    let header = CheckpointHeader(
      from: .init(files: [request.source], layout: request.layout.rawValue),
      card: .transformer(
        ModelCard(architecture, told.preprocessing, classes: classes, pretraining: told.pretraining)))
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
  ///   - checkpoint: A checkpoint, or the directory of a run.
  ///   - layout: Whose names are written.
  ///   - output: Path of the safetensors file.
  ///   - averaged: Whether fine-tuning's moving averages are wanted in place of the weights themselves.
  ///   - type: The number format of the weights there.
  ///   - isStrict: Whether nothing is written where something that matters has no place there.
  public static func export(
    checkpoint: String, layout: WeightLayout, output: String, averaged: Bool,
    as type: SafetensorsFile.ElementType = .float32, isStrict: Bool = false
  ) throws -> Report {
    try FileSystem.requireOutput(output, madeFrom: [checkpoint])
    let (file, card) = try TransformerWeights.open(checkpoint, averaged: averaged)
    let architecture = card.architecture.transformer
    guard architecture.qkvBias != .none || layout != .huggingface else {
      throw RunError(
        "\(file.path): its queries and values have no bias, as Hugging Face's BEiT must have them")
    }
    let names = layout.table(of: layout == .timm && architecture.isPlain ? .plain : .beit)
    var report = Report(summary: "\(architecture.summary); \(card.preprocessing.normalization.summary)")
    var tensors: [(name: String, shape: [Int], values: [Float])] = []
    for (name, shape) in file.shapes.sorted(by: { $0.key < $1.key }) {
      guard let parts = names.parts(of: name) else {
        report.unmatched.append("\(name) \(shape): \(layout.rawValue) has no place for it")
        continue
      }
      let values = try file.values(of: name)
      if layout == .timm, name == WeightLayout.sharedTable {
        for block in 0..<architecture.depth {
          tensors.append(
            (name: NameRule.name(WeightLayout.table, block: block), shape: shape, values: values))
        }
        continue
      }
      let size = values.count / parts.count
      for (part, theirs) in parts.enumerated() {
        guard let theirs else {
          report.notes.append(
            "\(name), the keys' part: \(layout.rawValue) has no place for it, and it changes no result")
          continue
        }
        let prefix = layout.exportPrefix(of: name, names.prefix, card.architecture)
        tensors.append(
          (
            prefix + theirs, [shape[0] / parts.count] + shape.dropFirst(),
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
    let metadata = [
      "format": "pt",
      ModelCard.metadataKey: try exportedCard(tensors.map { ($0.name, $0.shape) }, card, layout, output)
        .json(),
    ]
    try SafetensorsFile.write(tensors: tensors, metadata: metadata, as: type, to: output)
    switch layout {
    case .beit: break
    case .timm: report.kept = try TimmExport.write(beside: output, card)
    case .huggingface: report.kept = try HuggingFaceExport.write(beside: output, card)
    }
    return report
  }
}

extension WeightConversion {
  /// The card of what is in a file, which may be less than what it was made of, or have its tables in other places.
  private static func exportedCard(
    _ tensors: [(name: String, shape: [Int])], _ card: ModelCard, _ layout: WeightLayout, _ output: String
  ) throws -> ModelCard {
    let shapes = try NameMapping(tensors, by: layout.importTable, of: output).shapes
    let found = ModelCard.Architecture(
      parameterShapes: shapes, heads: card.architecture.heads,
      normEpsilon: Float(card.architecture.normEpsilon))
    guard var architecture = found else { return card }
    // Without a table of positions no shape tells it.
    architecture.imageHeight = card.architecture.imageHeight
    architecture.imageWidth = card.architecture.imageWidth
    return ModelCard(
      architecture, card.preprocessing, classes: architecture.classes == nil ? nil : card.classes,
      pretraining: architecture.vocabulary == nil ? nil : card.pretraining)
  }
}

extension WeightLayout {
  /// What a name of theirs begins with in a file we write.
  ///
  /// Hugging Face's models with a head have their transformer inside, but for the last norm of the one that predicts
  /// masked patches.
  fileprivate func exportPrefix(
    of ours: String, _ prefix: String, _ card: ModelCard.Architecture
  ) -> String {
    guard card.classes != nil || card.vocabulary != nil else { return "" }
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

extension ViTSize {
  /// Attention heads of MoCo v3's published transformers, which do not show in their weights; nil for any other: those of
  /// one width are made with different heads.
  ///
  /// - Parameter prefix: What the weights' names begin with, which tells MoCo v3's.
  package static func heads(width: Int, prefix: String) -> Int? {
    let isMomentumContrast = prefix.split(separator: ".").last == "base_encoder"
    return isMomentumContrast && [small.width, base.width].contains(width) ? 12 : nil
  }
}
