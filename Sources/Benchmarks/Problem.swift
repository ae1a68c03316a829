import Interoperability
import Storage
import Tensors

/// Weights and a batch that another program wrote, so that both compute the same: a safetensors file with `model.NAME`,
/// `images` [batch, height, width, 3] and, for masked image modeling, `masked` and `tokens`, for classification `labels`.
struct Problem {
  let images: Tensor
  let masked: [Int32]
  /// The tokens at the masked patches.
  let tokens: [Int32]
  /// The images' classes.
  let labels: [Int32]
  private let weights: WeightFile

  /// Opens a problem for a batch of images of the side `size`.
  ///
  /// - Parameter anchor: A parameter that the model has.
  init(opening path: String, anchor: String, batch: Int, size: Int) throws {
    let file = try SafetensorsFile(opening: path)
    let shape = try file.shape(of: "images")
    guard shape == [batch, size, size, 3] else {
      throw BenchmarkError("images in \(path) are \(shape); the benchmark needs \([batch, size, size, 3])")
    }
    images = Tensor(try file.readFloats("images"), shape: shape)
    masked = file.contains("masked") ? try file.readIntegers("masked") : []
    tokens = file.contains("tokens") ? try file.readIntegers("tokens") : []
    labels = file.contains("labels") ? try file.readIntegers("labels") : []
    weights = try WeightFile(opening: path, anchor: anchor)
  }

  /// Fills what the model has learned; state that the problem does not hold stays as it is.
  func fill(_ parameters: [Parameter]) throws {
    try weights.fill(parameters.filter { $0.kind != .state || weights.shapes[$0.name] != nil })
  }
}

/// A benchmark that cannot be run as asked.
public struct BenchmarkError: Error, CustomStringConvertible {
  public let description: String
  init(_ description: String) { self.description = description }
}
