import Operations
import Tensors

/// Puts the sequence of a transformer together: a class token, then the patches, masked ones replaced by a mask
/// token; plus absolute position embeddings.
public struct TokenAssembly {
  /// [1, 1, width]
  public let classToken: Parameter
  /// [1, 1, width]; nil in a model that masks nothing.
  public let maskToken: Parameter?
  /// [1, patches + 1, width]; nil without absolute positions.
  public let positions: Parameter?
  private let patches: Int

  /// Makes `cls_token` and, as asked for, `mask_token` and `pos_embed` in `scope`.
  /// `fixedPositions` are the elements of a `pos_embed` that is not trained.
  public init(
    patches: Int, width: Int, maskToken: Bool, positions: Bool, fixedPositions: [Float]? = nil,
    in scope: ParameterScope, initializer: Initializer = .truncatedNormal(0.02)
  ) {
    self.patches = patches
    classToken = scope.parameter("cls_token", [1, 1, width], initializer, role: .token)
    self.maskToken =
      maskToken ? scope.parameter("mask_token", [1, 1, width], initializer, role: .token) : nil
    let shape = [1, patches + 1, width]
    self.positions =
      fixedPositions.map { scope.state("pos_embed", shape, .values($0), role: .positionEmbedding) }
      ?? (positions ? scope.parameter("pos_embed", shape, initializer, role: .positionEmbedding) : nil)
  }

  /// The patches that are not masked, as flat numbers b · patches + p, ascending.
  /// `masked` are ascending, too.
  public func visible(masked: [Int32], samples: Int) -> [Int] {
    var visible: [Int] = []
    visible.reserveCapacity(samples * patches - masked.count)
    var next = masked.makeIterator()
    var hidden = next.next()
    for patch in 0..<samples * patches {
      if let skipped = hidden, Int(skipped) == patch { hidden = next.next() } else { visible.append(patch) }
    }
    precondition(hidden == nil, "masked positions must ascend and lie within the batch")
    return visible
  }

  /// Which of the assembled tokens are the same vector: without positions all class tokens are, and all mask tokens.
  /// Nil where no two need be.
  /// `visible` are the flat numbers of the visible patches, ascending; nil if all patches are.
  public func repetition(visible: [Int]?, samples: Int) -> RowRepetition? {
    guard positions == nil, let visible else { return nil }
    return RowRepetition(sources(visible: visible, samples: samples))
  }

  /// The visible patch that each token shows: -1 for the class token, -2 for the mask token.
  private func sources(visible: [Int], samples: Int) -> [Int] {
    let tokens = patches + 1
    var sources = [Int](repeating: -2, count: samples * tokens)
    for sample in 0..<samples { sources[sample * tokens] = -1 }
    for (row, patch) in visible.enumerated() { sources[patch / patches * tokens + 1 + patch % patches] = row }
    return sources
  }

  /// Assembles tokens [samples, patches + 1, width].
  ///
  /// - Parameters:
  ///   - embedded: The visible patches' embeddings in order, [visible, width].
  ///   - visible: Their flat numbers, or nil if all patches are.
  ///   - samples: Images in the batch.
  public func callAsFunction(_ embedded: Tensor, visible: [Int]?, samples: Int) -> Tensor {
    precondition(visible == nil || maskToken != nil, "this model has no mask token")
    precondition(embedded.count == (visible?.count ?? samples * patches) * classToken.count)
    let sources = sources(visible: visible ?? Array(0..<samples * patches), samples: samples)
    return assembleTokens(
      embedded, sources: sources, samples: samples, tokens: patches + 1, classToken: classToken,
      maskToken: maskToken, positions: positions)
  }
}
