import Communication
import Configuration
import Foundation
import Hashing
import ImageOperations
import Interoperability
import Layers
import Logging
import Models
import Operations
import Storage
import Tensors
import Terminal
import Trainer

/// Builds the perceptual network of a configuration and fills in its weights.
package enum PerceptualNetworks {
  /// Every family there is. A new one is entered here.
  package static let families: [any PerceptualFamily.Type] = [
    VGG16Family.self, ResNet50Family.self, VisionTransformerFamily.self,
  ]

  /// The network, or nil where the configuration has none, and a checksum over the weights of its files, on rank 0
  /// alone; random ones need none. Collective; rank 0 reads the weights for all.
  package static func make(
    _ configuration: TokenizerSettings, communicator: Communicator, logger: Logger
  ) throws -> (network: any PerceptualNetwork, checksum: UInt64?)? {
    let settings = configuration.perceptual
    guard let family = settings.family, configuration.loss.perceptualWeight > 0 else { return nil }
    let weights = try openWeights(family, configuration, communicator: communicator, logger: logger)
    let tapped = try family.make(configuration, weights)
    let shown = try pooled(tapped.network, configuration)
    let checksum = try communicator.agree { try weights.file?.checksum() }
    guard settings.comparison == .unitChannels else { return (shown, checksum) }
    let channels = try channelWeights(settings, taps: tapped.taps, communicator: communicator)
    return (
      UnitChannelNetwork(shown, channelWeights: channels?.map(\.value.elements)),
      checksum.map { [$0, channels.map(weightChecksum) ?? 0].withUnsafeBytes { XXHash64.hash($0) } }
    )
  }

  /// What each channel counts at each tap, as LPIPS learns it; nil where all count the same. Collective.
  private static func channelWeights(
    _ settings: TokenizerSettings.Perceptual, taps: [(number: Int, channels: Int)],
    communicator: Communicator
  ) throws -> [Parameter]? {
    guard let path = settings.channelWeights else { return nil }
    let scope = ParameterScope(seed: 0, frozen: true)
    let parameters = taps.map { tap in
      (scope / "lin\(tap.number)" / "model" / 1).parameter(
        "weight", [1, tap.channels, 1, 1], .ones, role: .weight)
    }
    try communicator.readOnRoot(into: parameters) {
      guard let first = parameters.first else { return }
      try WeightFile(opening: path, anchor: first.name).fill(parameters)
      for parameter in parameters where !parameter.value.elements.allSatisfy({ $0 >= 0 && $0.isFinite }) {
        throw RunError(
          "\(parameter.name) in \(path) has weights below 0 or none at all; LPIPS's are 0 and more")
      }
    }
    return parameters
  }

  /// The weights that a configuration names. Collective.
  private static func openWeights(
    _ family: any PerceptualFamily.Type, _ configuration: TokenizerSettings, communicator: Communicator,
    logger: Logger
  ) throws -> PerceptualWeights {
    let (file, table): (WeightFile?, NameTable?) = try communicator.agree {
      guard communicator.isRoot, let path = configuration.perceptual.weights else { return (nil, nil) }
      guard path != "random" else {
        logger.warning(
          """
          perceptual.weights is 'random': the perceptual loss compares features of an UNTRAINED network, \
          a weak metric for trying things out; give weights from a file for a tokenizer that matters
          """)
        return (nil, nil)
      }
      var isDirectory: ObjCBool = false
      let isRun =
        FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) && isDirectory.boolValue
      let file = isRun ? try TransformerWeights.checkpointFile(path) { logger.warning("\($0)") } : path
      return try WeightFile.open(file, of: family.names)
    }
    return PerceptualWeights(
      file: file, table: table, scope: ParameterScope(seed: configuration.shared.seed, frozen: true),
      names: family.names, communicator: communicator, logger: logger)
  }

  /// Shows the network smaller images where the configuration asks for it.
  private static func pooled(
    _ network: any PerceptualNetwork, _ configuration: TokenizerSettings
  ) throws -> any PerceptualNetwork {
    let side = configuration.shared.data.imageSize
    guard let wanted = configuration.perceptual.imageSize, wanted != side else { return network }
    guard wanted < side, side % wanted == 0 else {
      throw RunError(
        "perceptual.image_size is \(wanted); it must be data.image_size, \(side), divided by a whole number")
    }
    return PooledPerceptualNetwork(network: network, window: side / wanted)
  }
}

/// A perceptual network that sees images averaged over windows.
private struct PooledPerceptualNetwork: PerceptualNetwork {
  let network: any PerceptualNetwork
  let window: Int

  func features(_ images: Tensor) -> [Tensor] { network.features(averagePool(images, window: window)) }
}
