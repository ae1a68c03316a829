import Configuration
import Interoperability
import Models
import Operations
import Tensors
import Terminal

extension PretrainedWeights {
  /// What fine-tuning does not choose where it has weights to start from.
  struct Settled {
    /// Where the weights are.
    let path: String
    private let architecture: VisionTransformerConfiguration
    private let normalization: ImageNormalization?

    /// By the weights of another run, or imported.
    init(path: String, _ form: TransformerForm) throws {
      guard let found = form.architecture else { throw RunError("\(path) holds no vision transformer") }
      (self.path, architecture, normalization) = (path, found, form.normalization)
    }

    /// By an earlier start of the same run.
    init(path: String, _ earlier: FinetuneConfiguration) {
      let data = earlier.shared.data
      (self.path, architecture) = (path, earlier.architecture)
      normalization = ImageNormalization(mean: data.mean, standardDeviation: data.standardDeviation)
    }

    /// The same as settings of `peco finetune`, as for `--set`; throws where the configuration says something else.
    ///
    /// - Parameter isGiven: Whether the configuration has a key; what images are normalized by is its own matter then.
    func settings(for configuration: FinetuneConfiguration, isGiven: (String) -> Bool) throws -> [String] {
      let (model, found) = (configuration.model, architecture)
      func agree<Value: Equatable>(_ key: String, _ wanted: Value?, _ present: Value) throws {
        if let wanted, wanted != present {
          throw RunError("model.\(key) is \(wanted), but \(path) has \(present); leave the key out")
        }
      }
      try agree("width", model.explicitWidth, found.width)
      try agree("depth", model.explicitDepth, found.depth)
      try agree("heads", model.explicitHeads, found.heads)
      try agree("patch_size", model.explicitPatchSize, found.patchSize)
      if let ratio = model.explicitMLPRatio {
        // One with few decimals may mean the same hidden layer.
        var asked = found
        asked.mlpRatio = Float(ratio)
        if asked.hiddenWidth != found.hiddenWidth { try agree("mlp_ratio", asked.mlpRatio, found.mlpRatio) }
      }
      if isGiven("model.size") {
        let named = model.size
        let (width, depth, heads) = (
          model.explicitWidth ?? named.width, model.explicitDepth ?? named.depth,
          model.explicitHeads ?? named.heads
        )
        guard (width, depth, heads) == (found.width, found.depth, found.heads) else {
          throw RunError(
            "model.size is \(named.rawValue), which is \(named.width) wide with \(named.depth) blocks of \(named.heads) "
              + "heads, but \(path) is \(found.width) wide with \(found.depth) of \(found.heads); leave the key out"
          )
        }
      }
      try agree("norm_epsilon", model.explicitNormEpsilon.map { Float($0) }, found.normEpsilon)
      let positions: PositionKind
      switch found.positions {
      case .sharedRelative: positions = model.explicitPositions == .relative ? .relative : .sharedRelative
      case .relative: positions = .relative
      case .absolute: positions = .absolute
      default:
        throw RunError(
          "\(path) has \(found.positions.isEmpty ? "no" : "two kinds of") positions; one is needed")
      }
      try agree("positions", model.explicitPositions?.rawValue, positions.rawValue)
      let bias: FinetuneConfiguration.Model.Bias =
        switch found.qkvBias {
        case .queryValue: .queryValue
        case .full: .full
        case .none: .none
        }
      if isGiven("model.qkv_bias") { try agree("qkv_bias", model.bias.rawValue, bias.rawValue) }
      if isGiven("model.layer_scale"), found.layerScale == nil {
        throw RunError(
          "model.layer_scale is \(model.layerScale ?? 0), but \(path) has none; leave the key out")
      }
      let scale = found.layerScale == nil ? "null" : "\(model.layerScale ?? 0.1)"
      var settings = [
        "model.width=\(found.width)", "model.depth=\(found.depth)", "model.heads=\(found.heads)",
        "model.mlp_ratio=\(found.mlpRatio)", "model.patch_size=\(found.patchSize)",
        "model.norm_epsilon=\(found.normEpsilon)", "model.positions=\(positions.rawValue)",
        "model.qkv_bias=\(bias.rawValue)", "model.layer_scale=\(scale)",
      ]
      if let normalization {
        for (key, values) in [
          ("data.mean", normalization.mean), ("data.std", normalization.standardDeviation),
        ] where !isGiven(key) {
          settings.append("\(key)=\(values)")
        }
      }
      return settings
    }
  }
}
