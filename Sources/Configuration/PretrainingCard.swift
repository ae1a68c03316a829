import Datasets
import Imaging

extension ModelCard {
  /// How a model learned to tell tokens: what was hidden of the images, and how its tokenizer was shown them.
  public struct Pretraining: Codable, Equatable, Sendable {
    /// How patches were hidden.
    public var masking: Masking
    /// How images were resized for the tokenizer.
    public var tokenInterpolation: ResampleFilter

    private enum CodingKeys: String, CodingKey {
      case masking
      case tokenInterpolation = "token_interpolation"
    }

    public init(masking: Masking, tokenInterpolation: ResampleFilter = .bicubic) {
      self.masking = masking
      self.tokenInterpolation = tokenInterpolation
    }
  }

  /// Which patches are hidden, and how many.
  public struct Masking: Codable, Equatable, Sendable {
    /// How patches are chosen.
    public enum Kind: String, Codable, Sendable, CaseIterable {
      /// Block by block, as BEiT's algorithm 1.
      case blockwise
      /// Each on its own.
      case random
    }

    public var kind: Kind
    /// How many are hidden of an image.
    public var patches: Int
    /// Fewest patches of a block; says nothing of patches on their own.
    public var minimumBlock: Int
    /// Least ratio of a block's height to its width; the most is its inverse.
    public var minimumAspect: Double

    private enum CodingKeys: String, CodingKey {
      case kind, patches
      case minimumBlock = "minimum_block"
      case minimumAspect = "minimum_aspect"
    }

    /// BEiT's choice, of so many patches.
    public init(
      _ kind: Kind = .blockwise, patches: Int, minimumBlock: Int = 16, minimumAspect: Double = 0.3
    ) {
      self.kind = kind
      self.patches = patches
      self.minimumBlock = minimumBlock
      self.minimumAspect = minimumAspect
    }

    /// What chooses patches of a square grid.
    ///
    /// - Throws: `DatasetError` where there can be no such mask.
    public func generator(grid: Int) throws -> MaskGenerator {
      try MaskGenerator(
        height: grid, width: grid, count: patches,
        kind: kind == .random
          ? .random : .blockwise(minimumBlock: minimumBlock, minimumAspect: minimumAspect))
    }
  }
}
