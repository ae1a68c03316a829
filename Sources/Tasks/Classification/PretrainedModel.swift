import Configuration
import Layers
import Models
import Terminal

/// What fine-tuning does not choose where it has weights to start from.
struct PretrainedModel: Sendable {
  /// Where the weights are.
  let path: String
  /// What they are.
  let card: ModelCard

  /// Throws where a configuration says something else.
  ///
  /// - Parameter isGiven: Whether the configuration has a key; what images are normalized by is its own matter then.
  func require(agreementOf configuration: FinetuneConfiguration, isGiven: (String) -> Bool) throws {
    let (model, found) = (configuration.model, card.architecture.transformer)
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
    let positions = card.architecture.positions
    guard let kind = positions.first, positions.count == 1 else {
      throw RunError("\(path) has \(positions.isEmpty ? "no" : "two kinds of") positions; one is needed")
    }
    // A table that all blocks share may become one in each.
    if kind != .sharedRelative || model.explicitPositions != .relative {
      try agree("positions", model.explicitPositions?.rawValue, kind.rawValue)
    }
    if isGiven("model.qkv_bias") { try agree("qkv_bias", model.bias.rawValue, found.qkvBias.rawValue) }
    if isGiven("model.layer_scale"), found.layerScale == nil {
      throw RunError("model.layer_scale is \(model.layerScale ?? 0), but \(path) has none; leave the key out")
    }
  }
}
