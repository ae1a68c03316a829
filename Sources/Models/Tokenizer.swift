import Tensors

/// What turns pictures into visual words and back: `VQVAE` or `DVAE`.
///
/// Pictures are [batch, height, width, 3] with values in [−1, 1]. Tokens are words' indices, picture by picture, row by
/// row.
public protocol Tokenizer: AnyObject {
  /// Height and width of the pictures it is made for.
  var imageSize: Int { get }
  /// Pixels of the picture along one side of a token.
  var patchSize: Int { get }
  /// Number of words.
  var vocabulary: Int { get }
  /// Everything that is learnt.
  var parameters: [Parameter] { get }

  /// The word of each token of the pictures.
  func tokens(_ pictures: Tensor) -> [Int32]
  /// The vectors that the decoder reads in the place of tokens, [tokens, length]: a VQ-VAE's codebook, a discrete VAE's
  /// embeddings of words.
  func words(_ tokens: [Int32]) -> Tensor
  /// Pictures of `imageSize` drawn from the words of their tokens, cut off at black and white.
  func pictures(from tokens: [Int32]) -> Tensor
}

extension Tokenizer {
  /// Tokens along each side of a picture.
  public var gridSize: Int { imageSize / patchSize }
}

/// Cuts pictures that were just drawn off at black and white, in place.
func cutOff(_ drawn: Tensor) -> Tensor {
  for i in 0..<drawn.count { drawn.pointer[i] = min(max(drawn.pointer[i], -1), 1) }
  return drawn
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
