import Communication
import Configuration
import Foundation
import Imaging
import Models
import Tensors
import Terminal
import Trainer
import Yams

/// The weights of a vision transformer out of a checkpoint: of masked image modeling, of fine-tuning, or imported.
public struct TransformerWeights {
  /// The unit of a checkpoint that holds the exponential moving average of the weights.
  package static let average = "ema"

  /// The checkpoint.
  public let path: String
  public let form: TransformerForm
  /// The values; on rank 0 alone.
  package let file: WeightFile?

  /// Opens a checkpoint, or the newest sound one of a run's directory. Collective; rank 0 reads for all.
  ///
  /// - Parameter averaged: Whether the moving averages are wanted in place of the weights themselves.
  public init(
    opening path: String, averaged: Bool = false, communicator: Communicator,
    report: (String) -> Void = { _ in }
  ) throws {
    let opened = try communicator.agree {
      communicator.isRoot ? try Self.open(path, averaged: averaged, report: report) : nil
    }
    let text = try communicator.broadcast(
      try communicator.agree {
        try opened.map { String(decoding: try JSONEncoder().encode($0.form), as: UTF8.self) } ?? ""
      })
    self.path = try communicator.broadcast(opened?.file.path ?? "")
    form = try communicator.agree { try JSONDecoder().decode(TransformerForm.self, from: Data(text.utf8)) }
    file = opened?.file
  }

  /// The model that the weights belong to, with their values. Collective.
  ///
  /// - Parameter imageSize: Side of the images it is to see, where that is another than in training; positions are
  ///   interpolated.
  public func loadModel(imageSize: Int? = nil, communicator: Communicator) throws -> TransformerModel {
    let scope = ParameterScope(seed: 0, frozen: true)
    let model = try form.makeModel(in: scope, of: path, imageSize: imageSize)
    try communicator.agree {
      guard let file else { return }
      let fresh = try PretrainedWeights.fill(
        scope.parameters, from: file, form: form, target: model.backbone.configuration)
      guard fresh.isEmpty else {
        throw RunError("\(path) lacks \(fresh.joined(separator: ", ")), or has them in another shape")
      }
    }
    try communicator.broadcast(scope.parameters)
    return model
  }

  /// What a checkpoint holds, on this rank.
  package static func open(
    _ path: String, averaged: Bool, report: (String) -> Void = { _ in }
  ) throws -> (file: WeightFile, form: TransformerForm) {
    let path = try checkpointFile(path, report: report)
    let header = try Checkpoint.header(of: path)
    guard try Checkpoint.holds(CheckpointUnit.model, anchor, in: path) else {
      throw RunError("\(path) is of task '\(header.task)'; a vision transformer's checkpoint is needed")
    }
    guard try !averaged || Checkpoint.holds(average, anchor, in: path) else {
      throw RunError("\(path) holds no moving averages; train with ema.decay to have them")
    }
    let file = try WeightFile(opening: path, unit: averaged ? average : CheckpointUnit.model, anchor: anchor)
    let shapes = file.shapes.filter { !MomentumContrast.isBesideEncoder($0.key) }
    let transformer = WeightFile(path: path, shapes: shapes) { try file.values(of: $0) }
    let settings = try settings(of: header, path)
    guard let heads = attentionHeads(shapes) ?? settings.heads else {
      throw RunError("\(path) does not say how many attention heads its transformer has")
    }
    var form = TransformerForm(shapes: shapes, heads: heads, normEpsilon: settings.normEpsilon)
    (form.normalization, form.resize) = (settings.normalization, settings.resize)
    form.interpolation = settings.interpolation
    form.classNames = header.classes
    return (transformer, form)
  }

  /// A name that every transformer's weights have.
  private static let anchor = "patch_embed.proj.weight"

  /// A checkpoint file: the one given, or the newest sound one of a run's directory.
  package static func checkpointFile(_ path: String, report: (String) -> Void = { _ in }) throws -> String {
    guard FileManager.default.fileExists(atPath: path) else {
      throw RunError("there is no checkpoint at \(path); give a checkpoint file or a run's directory")
    }
    let file = try RunDirectory.checkpointFile(path, report: report)
    guard !file.hasSuffix(".safetensors") else {
      throw RunError("\(path) is no checkpoint of peco; make one of it with `peco import`")
    }
    return file
  }

  /// The heads of each block that a table of relative positions has a column for, if there is one.
  package static func attentionHeads(_ shapes: [String: [Int]]) -> Int? {
    let ofBlocks = shapes.keys.filter { WeightLayout.block(of: $0, in: WeightLayout.table) != nil }.sorted()
    for name in [WeightLayout.sharedTable] + ofBlocks {
      if let table = shapes[name], table.count == 2 { return table[1] }
    }
    return nil
  }

  /// What a transformer's checkpoint says in its configuration, whatever was trained.
  package static func settings(
    of header: CheckpointHeader, _ path: String
  ) throws -> (
    heads: Int?, normEpsilon: Float, normalization: ImageNormalization?, resize: Int?,
    interpolation: ResampleFilter?
  ) {
    let source = try ConfigurationSource(yaml: header.configuration, name: path, overrides: [])
    func node(_ key: String) -> Node? { source.entries[key]?.node }
    func text(_ key: String) -> String? { node("model.\(key)")?.scalar?.string }
    func numbers(_ key: String) -> [Double]? {
      let values = node(key)?.sequence?.compactMap { $0.scalar.flatMap { Double($0.string) } }
      return values?.count == 3 ? values : nil
    }
    let heads = text("heads").flatMap { Int($0) } ?? text("size").flatMap { ViTSize(rawValue: $0)?.heads }
    let epsilon = text("norm_epsilon").flatMap { Float($0) }
    var normalization: ImageNormalization?
    if let mean = numbers("data.mean"), let deviation = numbers("data.std") {
      normalization = ImageNormalization(mean: mean, standardDeviation: deviation)
    }
    return (
      heads, epsilon ?? VisionTransformerConfiguration().normEpsilon, normalization,
      node("evaluation.resize")?.scalar.flatMap { Int($0.string) },
      node("data.interpolation")?.scalar.flatMap { ResampleFilter(rawValue: $0.string) }
    )
  }
}
