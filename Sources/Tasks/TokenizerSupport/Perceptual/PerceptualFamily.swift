import Communication
import Configuration
import Interoperability
import Layers
import Logging
import Models
import Tensors
import Terminal
import Trainer

/// A family of perceptual networks: how its part of a configuration is checked, and how a network is made.
/// `PerceptualNetworks.families` has all of them.
package protocol PerceptualFamily: Sendable {
  /// The names in which its weights come; its own name is the value of `perceptual.network`.
  static var names: PerceptualNames { get }
  /// Keys of `perceptual` that count in this family alone.
  static var ownKeys: [String] { get }
  /// Whether it attends, and so can save memory by `training.activation_checkpointing`.
  static var hasAttention: Bool { get }

  /// How many depths there are to be compared; nil where only a file tells.
  static func depth(_ settings: TokenizerSettings.Perceptual) -> Int?
  /// Demands that values go together, after all have been read.
  static func validate(_ settings: TokenizerSettings, _ reader: ConfigurationReader)
  /// Makes the network of a configuration. Collective.
  static func make(_ settings: TokenizerSettings, _ weights: PerceptualWeights) throws -> TappedNetwork
}

extension PerceptualFamily {
  package static var name: String { names.network }
  package static var ownKeys: [String] { [] }
  package static var hasAttention: Bool { false }
  package static func validate(_ settings: TokenizerSettings, _ reader: ConfigurationReader) {}
}

/// A perceptual network with what a file of channel weights has to know of it.
package struct TappedNetwork {
  package let network: any PerceptualNetwork
  /// Where it is read: the number of each depth in a file of channel weights, and its channels.
  package let taps: [(number: Int, channels: Int)]
}

/// The weights of a perceptual network: of a file that rank 0 reads for all, or random.
package struct PerceptualWeights {
  /// Under our names, on rank 0; nil on the others, and where weights are random.
  let file: WeightFile?
  /// The names in which the file came; nil where there is none.
  let table: NameTable?
  /// Where the network's parameters are made.
  package let scope: ParameterScope
  let names: PerceptualNames
  let communicator: Communicator
  let logger: Logger

  /// Fills parameters from the file, if there is one. Collective.
  ///
  /// - Parameters:
  ///   - parameters: What is filled, on all ranks.
  ///   - read: How they are filled from the file, on rank 0; each from the weight of its name where nothing is said.
  func fill(
    _ parameters: [Parameter], read: ((WeightFile) throws -> Void)? = nil
  ) throws {
    try communicator.readOnRoot(into: parameters) {
      guard let file else { return }
      try file.requireWhole(names, known: scope.parameters)
      try read?(file) ?? file.fill(parameters)
    }
  }
}
