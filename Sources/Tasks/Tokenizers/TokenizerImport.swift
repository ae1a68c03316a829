import Configuration
import DVAETraining
import Foundation
import Interoperability
import Models
import Storage
import Tensors
import Terminal
import Trainer

/// `peco tokenizer import`: makes a checkpoint of the published weights of DALL-E's discrete VAE, the tokenizer of
/// BEiT.
public enum TokenizerImport {
  /// What became of the weights.
  public struct Report: Sendable {
    /// Number of tokens.
    public let vocabulary: Int
    /// Pixels of the image along one side of a token.
    public let patchSize: Int
    /// Tokens along each side of an image.
    public let gridSize: Int
  }

  /// Reads encoder and decoder, safetensors files with the published code's names, and writes a tokenizer's checkpoint.
  ///
  /// - Parameters:
  ///   - encoder: Path of the encoder's weights.
  ///   - decoder: Path of the decoder's weights.
  ///   - output: Path of the checkpoint.
  ///   - imageSize: Height and width of the images that `peco tokenizer encode` shows it.
  public static func run(encoder: String, decoder: String, output: String, imageSize: Int) throws -> Report {
    try FileSystem.requireOutput(output, madeFrom: [encoder, decoder])
    let anchor = "blocks.input.w"
    let files = (
      encoder: try WeightFile(opening: encoder, anchor: anchor),
      decoder: try WeightFile(opening: decoder, anchor: anchor)
    )
    guard
      let architecture = DVAEConfiguration(
        encoder: files.encoder.shapes, decoder: files.decoder.shapes, imageSize: imageSize)
    else {
      throw RunError(
        "\(encoder) and \(decoder) are not encoder and decoder of a discrete VAE in DALL-E's naming "
          + "(blocks.input.w, blocks.group_1.block_1.res_path.conv_1.w, …)")
    }
    let model: DVAE
    do {
      model = try DVAE(architecture, in: ParameterScope(seed: 0))
    } catch let error as TokenizerConfigurationError {
      throw RunError(
        "\(encoder) and \(decoder) make no discrete VAE that can be with --image-size \(imageSize): \(error)")
    }
    for (part, file) in [("encoder.", files.encoder), ("decoder.", files.decoder)] {
      let own = model.parameters.filter { $0.name.hasPrefix(part) }
      try file.fill(own, without: part)
      let beside = try file.besideBody(
        of: "a discrete VAE of DALL-E's", known: Set(own.map { String($0.name.dropFirst(part.count)) }),
        advice: "is it another network's?")
      guard beside.isEmpty else { throw RunError("\(file.path) has more than a discrete VAE: \(beside[0])") }
    }
    try Checkpoint.write(
      CheckpointHeader(
        imported: DVAEFamily.kind, from: .init(files: [encoder, decoder], layout: "dall-e"),
        card: .tokenizer(try TokenizerCard(family: DVAEFamily.kind, architecture))),
      parameters: model.parameters, optimizer: nil, to: output)
    return Report(vocabulary: model.vocabulary, patchSize: model.patchSize, gridSize: model.gridSize)
  }
}
