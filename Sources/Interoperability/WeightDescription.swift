import Configuration
import Imaging
import Terminal

/// What names and shapes of a transformer's weights do not tell of its model card, as far as something else does.
package struct WeightDescription: Equatable {
  /// Attention heads of each block.
  package var heads: Int?
  /// Added to the variance by layer normalization.
  package var normEpsilon: Float?
  /// What images are normalized by.
  package var normalization: ImageNormalization?
  /// Length in pixels that the shorter side of an image is resized to for evaluation, before its middle is cut out.
  package var resize: Int?
  /// How images are resized.
  package var interpolation: ResampleFilter?
  /// The names of the classes, in the order of the head's logits.
  package var classes: [String]?
  /// How images were hidden while it learned to tell tokens.
  package var pretraining: ModelCard.Pretraining?

  package init(
    heads: Int? = nil, normEpsilon: Float? = nil, normalization: ImageNormalization? = nil,
    resize: Int? = nil,
    interpolation: ResampleFilter? = nil, classes: [String]? = nil
  ) {
    (self.heads, self.normEpsilon, self.normalization) = (heads, normEpsilon, normalization)
    (self.resize, self.interpolation, self.classes) = (resize, interpolation, classes)
  }

  /// The same, and of what it does not say, what a safetensors file says of itself, and then what lies beside it.
  ///
  /// - Parameters:
  ///   - metadata: The free-form strings in the header of the file `path`.
  ///   - imageSize: Side of the transformer's images in pixels.
  /// - Throws: `RunError` where something is said in another form than it is written here.
  package func completed(
    by metadata: [String: String], beside path: String, layout: WeightLayout, imageSize: Int
  ) throws -> WeightDescription {
    let own = try WeightDescription(metadata: metadata, of: path)
    let model = HuggingFaceConfiguration(beside: path, layout: layout)
    let timm = TimmConfiguration(beside: path)
    var result = self
    result.heads = heads ?? own.heads ?? model?.heads
    result.normEpsilon = normEpsilon ?? own.normEpsilon ?? model?.normEpsilon
    result.normalization = try normalization ?? own.normalization ?? ImageNormalization(beside: path)
    result.resize =
      resize ?? own.resize ?? HuggingFaceConfiguration.shortSide(beside: path)
      ?? timm?.shortSide(imageSize: imageSize)
    result.interpolation =
      interpolation ?? own.interpolation ?? HuggingFaceConfiguration.interpolation(beside: path)
      ?? timm?.interpolation
    result.classes = classes ?? own.classes ?? model?.classes ?? timm?.classes
    result.pretraining = pretraining ?? own.pretraining
    // A side that the image cannot be cut out of belongs to images of another size.
    if let side = result.resize, side < imageSize { result.resize = nil }
    return result
  }

  /// How images are shown; where it is not said, as for ImageNet.
  package var preprocessing: ModelCard.Preprocessing {
    ModelCard.Preprocessing(
      normalization: normalization ?? .imageNet, interpolation: interpolation ?? .bicubic, resize: resize)
  }
}

// MARK: - In the header of a safetensors file

extension ModelCard {
  /// Its key among the free-form strings of a safetensors file's header.
  static let metadataKey = "peco.card"
}

extension WeightDescription {
  /// Out of the header of the file `path`; nothing where there is no card.
  ///
  /// - Throws: `RunError` where the card is not as we write it.
  package init(metadata: [String: String], of path: String) throws {
    self.init()
    guard let text = metadata[ModelCard.metadataKey] else {
      guard metadata["peco.heads"] == nil else {
        throw RunError("\(path) was exported by an earlier version of peco; export it again with this one")
      }
      return
    }
    do {
      let card = try ModelCard(json: text)
      heads = card.architecture.heads
      normEpsilon = Float(card.architecture.normEpsilon)
      normalization = card.preprocessing.normalization
      resize = card.preprocessing.resize
      interpolation = card.preprocessing.interpolation
      classes = card.classes
      pretraining = card.pretraining
    } catch let error as ModelCardError {
      throw RunError(
        "\(path): \(ModelCard.metadataKey) in its metadata is '\(text.prefix(40))', must be a model card: \(error)"
      )
    }
  }
}
