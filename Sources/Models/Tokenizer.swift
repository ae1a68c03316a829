import Operations
import Tensors

/// What turns images into visual tokens and back: `VQVAE` or `DVAE`.
///
/// Images are [batch, height, width, 3] with values in [−1, 1]. Tokens are indices of codebook entries, image by
/// image, row by row.
public protocol Tokenizer: AnyObject {
  /// Height and width of the images it is made for.
  var imageSize: Int { get }
  /// Pixels of the image along one side of a token.
  var patchSize: Int { get }
  /// Number of codebook entries.
  var vocabulary: Int { get }
  /// Everything that is learned.
  var parameters: [Parameter] { get }

  /// The token of each patch, row by row, image after image.
  func tokens(_ images: Tensor) -> [Int32]
  /// The vectors that the decoder reads for tokens, [tokens, dimension]: a VQ-VAE's codebook entries, a discrete VAE's
  /// token embeddings.
  func codebookVectors(_ tokens: [Int32]) -> Tensor
  /// Images of `imageSize` decoded from the entries of their tokens, clipped at black and white.
  func images(from tokens: [Int32]) -> Tensor
}

extension Tokenizer {
  /// Tokens along each side of an image.
  public var gridSize: Int { imageSize / patchSize }
}

/// What a tokenizer of some family is beside its weights, and can be written as.
public protocol TokenizerArchitecture: Codable, Equatable, Sendable {
  /// Height and width of the images, in pixels; weights do not depend on them.
  var imageSize: Int { get set }
  /// Pixels of the image along one side of a token.
  var patchSize: Int { get }

  /// Throws a `TokenizerConfigurationError` that names the field that cannot be.
  func validate() throws
}

/// Cuts images that were just drawn off at black and white, in place.
func cutOff(_ drawn: Tensor) -> Tensor {
  clamp(drawn, to: -1...1)
  return drawn
}

extension TokenizerArchitecture {
  /// Throws unless a number lies between 1 and the most that sizes made of it can be computed with.
  func requireSize(_ value: Int, upTo most: Int = 1 << 16, _ field: String) throws {
    guard value > 0 else {
      throw TokenizerConfigurationError(field: field, problem: "is \(value), but must be at least 1")
    }
    guard value <= most else {
      throw TokenizerConfigurationError(field: field, problem: "is \(value), but must be at most \(most)")
    }
  }
}

/// A tokenizer was described by numbers that do not go together.
public struct TokenizerConfigurationError: Error, CustomStringConvertible, Equatable, Sendable {
  /// The field that cannot be as it is.
  public let field: String
  /// What it is and what it must be.
  public let problem: String

  /// An error about `field`.
  public init(field: String, problem: String) {
    self.field = field
    self.problem = problem
  }

  /// Field and problem in one sentence.
  public var description: String { "\(field) \(problem)" }
}
