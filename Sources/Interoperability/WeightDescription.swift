import Configuration
import Datasets
import Foundation
import Imaging
import Terminal

/// What names and shapes of a transformer's weights do not tell, as far as something else does.
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
    // A side that the image cannot be cut out of belongs to images of another size.
    if let side = result.resize, side < imageSize { result.resize = nil }
    return result
  }
}

// MARK: - In the header of a safetensors file

extension WeightDescription {
  private enum Key: String {
    case heads = "peco.heads"
    case normEpsilon = "peco.norm_epsilon"
    case mean = "peco.mean"
    case standardDeviation = "peco.std"
    case resize = "peco.resize"
    case interpolation = "peco.interpolation"
    case classes = "peco.classes"
  }

  /// As the strings that the header of a safetensors file keeps; what is not known has no key.
  var metadata: [String: String] {
    var result: [String: String] = [:]
    if let heads { result[Key.heads.rawValue] = "\(heads)" }
    if let normEpsilon { result[Key.normEpsilon.rawValue] = "\(normEpsilon)" }
    if let normalization {
      result[Key.mean.rawValue] = "\(normalization.mean)"
      result[Key.standardDeviation.rawValue] = "\(normalization.standardDeviation)"
    }
    if let resize { result[Key.resize.rawValue] = "\(resize)" }
    if let interpolation { result[Key.interpolation.rawValue] = interpolation.rawValue }
    if let classes {
      result[Key.classes.rawValue] = "[" + classes.map(JSONObject.quoted).joined(separator: ", ") + "]"
    }
    return result
  }

  /// Out of the header of the file `path`.
  ///
  /// - Throws: `RunError` where a key of ours does not hold what we write.
  package init(metadata: [String: String], of path: String) throws {
    func value<Value>(_ key: Key, _ wanted: String, _ read: (String) -> Value?) throws -> Value? {
      guard let text = metadata[key.rawValue] else { return nil }
      if let value = read(text) { return value }
      throw RunError("\(path): \(key.rawValue) in its metadata is '\(text.prefix(40))', must be \(wanted)")
    }
    func positive(_ text: String) -> Int? {
      guard let number = Int(text), number > 0 else { return nil }
      return number
    }
    func channels(_ text: String) -> [Double]? {
      let numbers = try? JSONDecoder().decode([Double].self, from: Data(text.utf8))
      return numbers?.count == 3 ? numbers : nil
    }
    self.init()
    heads = try value(.heads, "a positive number", positive)
    normEpsilon = try value(.normEpsilon, "a number above 0") { text -> Float? in
      guard let number = Float(text), number > 0, number.isFinite else { return nil }
      return number
    }
    resize = try value(.resize, "a positive number", positive)
    let filters = ResampleFilter.allCases.map(\.rawValue).joined(separator: ", ")
    interpolation = try value(.interpolation, "one of \(filters)") { ResampleFilter(rawValue: $0) }
    classes = try value(.classes, "a list of names") { text -> [String]? in
      try? JSONDecoder().decode([String].self, from: Data(text.utf8))
    }
    let mean = try value(.mean, "three numbers", channels)
    let deviation = try value(.standardDeviation, "three numbers above 0") { text -> [Double]? in
      channels(text).flatMap { numbers in numbers.allSatisfy { $0 > 0 } ? numbers : nil }
    }
    if let mean, let deviation {
      normalization = ImageNormalization(mean: mean, standardDeviation: deviation)
    }
  }
}

extension TransformerForm {
  /// What goes with the weights to others. Where it is not known how images were shown, it is how `peco evaluate` shows
  /// them then.
  ///
  /// - Parameter imageSize: Side of the images in pixels.
  func description(imageSize: Int) -> WeightDescription {
    WeightDescription(
      heads: heads, normEpsilon: normEpsilon, normalization: normalization ?? .imageNet,
      resize: resize ?? Augmentation.evaluationShortSide(size: imageSize),
      interpolation: interpolation ?? .bicubic, classes: classNames?.count == classes ? classNames : nil)
  }
}
