import Communication
import Foundation
import Layers
import Logging
import Models
import Storage
import Tensors

/// Builds the perceptual network of a configuration and fills in its weights.
enum PerceptualNetworks {
  /// The network, or nil where the configuration has none. Collective; rank 0 reads the weights for all.
  static func make(
    _ configuration: TokenizerConfiguration, communicator: Communicator, logger: Logger
  ) throws -> (any PerceptualNetwork)? {
    let settings = configuration.perceptual
    guard settings.network != .none, configuration.loss.perceptualWeight > 0 else { return nil }
    let scope = ParameterScope(seed: configuration.shared.seed, frozen: true)
    let network: any PerceptualNetwork
    switch settings.network {
    case .none: return nil
    case .vgg16:
      let stages = settings.taps ?? Array(1...VGG16.Tap.allCases.count)
      network = VGG16(taps: Set(stages.map { VGG16.Tap.allCases[$0 - 1] }), in: scope)
    case .vit:
      let architecture = try vitArchitecture(configuration, communicator: communicator)
      let blocks = settings.taps ?? Set((1...4).map { max(1, architecture.depth * $0 / 4) }).sorted()
      network = try PerceptualViT(VisionTransformer(architecture, in: scope), blocks: blocks)
    }
    try communicator.agree {
      guard communicator.isRoot, let path = settings.weights else { return }
      if path == "random" {
        logger.warning(
          """
          perceptual.weights is 'random': the perceptual loss compares features of an UNTRAINED network, \
          a weak metric for trying things out; give weights from a file for a tokenizer that matters
          """)
      } else {
        try fill(scope.parameters, from: path)
      }
    }
    for parameter in scope.parameters {
      try communicator.broadcast(parameter.value.pointer, count: parameter.count)
    }
    return try pooled(network, configuration)
  }

  /// A ViT's architecture: that of the run it comes from if the weights are a checkpoint of `peco pretrain`;
  /// otherwise BEiT's of the configured size. Collective.
  private static func vitArchitecture(
    _ configuration: TokenizerConfiguration, communicator: Communicator
  ) throws -> VisionTransformerConfiguration {
    let settings = configuration.perceptual
    let side = settings.imageSize ?? configuration.shared.data.imageSize
    var result = VisionTransformerConfiguration()
    result.imageSize = side
    result.patchSize = settings.patchSize
    result.width = settings.size.width
    result.depth = settings.size.depth
    result.heads = settings.size.heads
    result.dropPath = 0
    guard let path = settings.weights, path != "random", !path.hasSuffix(".safetensors") else {
      return result
    }
    let text = try communicator.broadcast(
      try communicator.agree {
        guard communicator.isRoot else { return "" }
        let header = try Checkpoint.header(of: path)
        guard header.kind == .pretrain else {
          throw RunError(
            "\(path) is of kind '\(header.kind.rawValue)'; perceptual.weights needs a transformer's")
        }
        return header.configuration
      })
    result = try PretrainConfiguration.load(yaml: text, source: path).configuration.architecture
    guard result.imageSize == side else {
      throw RunError(
        "\(path) was trained on pictures of \(result.imageSize)², the perceptual network is shown \(side)²; "
          + "set perceptual.image_size to \(result.imageSize)")
    }
    return result
  }

  /// Fills parameters by name from a safetensors file or a checkpoint; what else the file holds is not needed.
  static func fill(_ parameters: [Parameter], from path: String) throws {
    let read: (String) throws -> (shape: [Int], values: [Float])?
    if path.hasSuffix(".safetensors") {
      let file = try SafetensorsFile(opening: path)
      let names = Set(file.names)
      read = { name in
        guard names.contains(name) else { return nil }
        return (try file.shape(of: name), try file.readFloats(name))
      }
    } else {
      try FileSeal.verify(path)
      let file = try HDF5File(opening: path)
      read = { name in
        guard try file.exists("model/\(name)") else { return nil }
        return (try file.shape(of: "model/\(name)"), try file.read("model/\(name)"))
      }
    }
    for parameter in parameters {
      guard let (shape, values) = try read(parameter.name) else {
        throw RunError(
          "\(path) has no \(parameter.name) \(parameter.shape), which the perceptual network needs")
      }
      guard shape == parameter.shape, values.count == parameter.count else {
        throw RunError(
          "\(parameter.name) in \(path) is \(shape); the perceptual network needs \(parameter.shape)")
      }
      values.withUnsafeBufferPointer { source in
        if let base = source.baseAddress { parameter.value.pointer.update(from: base, count: source.count) }
      }
    }
  }

  /// Shows the network smaller pictures where the configuration asks for it.
  private static func pooled(
    _ network: any PerceptualNetwork, _ configuration: TokenizerConfiguration
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

/// A perceptual network that sees pictures averaged over windows.
private struct PooledPerceptualNetwork: PerceptualNetwork {
  let network: any PerceptualNetwork
  let window: Int

  func features(_ pictures: Tensor) -> [Tensor] { network.features(averagePool(pictures, window: window)) }
}
