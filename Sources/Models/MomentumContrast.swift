import Operations
import Tensors

/// MoCo v3 (Chen et al., "An Empirical Study of Training Self-Supervised Vision Transformers", 2104.02057): a vision
/// transformer learns, from unlabeled images, to tell by one view of an image which of many other views is of the
/// same one.
///
/// The encoder's names begin at the root of `scope`, so that a checkpoint is that of a vision transformer, with
/// `projector` and `predictor` beside it. The momentum encoder has a scope of its own.
public struct MomentumContrast {
  /// The transformer that is trained.
  public let encoder: VisionTransformer
  private let projector: ContrastiveHead
  private let predictor: ContrastiveHead
  private let momentumEncoder: VisionTransformer
  private let momentumProjector: ContrastiveHead
  /// What is trained, and what follows it.
  public let followers: [(leader: Parameter, follower: Parameter)]
  private let temperature: Float

  /// Makes the parameters in `scope`, the root of a model, and those of the momentum encoder in `momentum`, an
  /// untrained one.
  ///
  /// - Parameters:
  ///   - configuration: Of the transformer.
  ///   - hiddenWidth: Of projector and predictor, 4096 in the paper.
  ///   - outputWidth: Of what is compared, 256 in the paper.
  ///   - temperature: τ of the InfoNCE loss.
  ///   - scope: The root of the model.
  ///   - momentum: Where the momentum encoder is made.
  /// - Throws: `VisionTransformerConfigurationError`.
  public init(
    _ configuration: VisionTransformerConfiguration, hiddenWidth: Int = 4096, outputWidth: Int = 256,
    temperature: Float = 0.2, in scope: ParameterScope,
    momentumEncoderIn momentum: ParameterScope
  ) throws {
    let widths = [configuration.width, hiddenWidth, hiddenWidth, outputWidth]
    encoder = try VisionTransformer(configuration, in: scope)
    projector = ContrastiveHead(widths: widths, in: scope / "projector")
    let leaders = scope.parameters
    predictor = ContrastiveHead(
      widths: [outputWidth, hiddenWidth, outputWidth], in: scope / "predictor")
    momentumEncoder = try VisionTransformer(configuration, in: momentum)
    momentumProjector = ContrastiveHead(widths: widths, in: momentum / "projector")
    let pairs = zip(leaders, momentum.parameters).map { (leader: $0, follower: $1) }
    for (leader, follower) in pairs { follower.value.copyElements(from: leader.value) }
    followers = pairs.filter { $0.leader.kind == .trained }
    self.temperature = temperature
  }

  /// Whether a parameter serves training alone, and is no part of the transformer.
  public static func isBesideEncoder(_ name: String) -> Bool {
    ["projector.", "predictor."].contains { name.hasPrefix($0) }
  }

  /// The loss of a rank's share of the batch, symmetrized over the two views (algorithm 1), and how many of its
  /// 2 n queries are most similar to their own key among those of all ranks.
  ///
  /// - Parameters:
  ///   - first: A view of each image, [n, side, side, 3]; the same number on every rank.
  ///   - second: Another view of each.
  ///   - mode: In training batch normalization takes the batch's statistics, and learns from them.
  ///   - ranks: Who has the rest of the batch; nil where there is no rest.
  public func callAsFunction(
    _ first: Tensor, _ second: Tensor, mode: Mode, over ranks: (any RankExchange)? = nil
  ) -> (loss: Tensor, correct: Int) {
    func keys(_ view: Tensor) -> Tensor {
      let own = momentumProjector(
        momentumEncoder.classTokens(view.detached), mode: mode, over: ranks)
      return ranks?.gather(own) ?? own
    }
    func queries(_ view: Tensor) -> Tensor {
      predictor(
        projector(encoder.classTokens(view), mode: mode, over: ranks), mode: mode,
        over: ranks)
    }
    // Keys first: they are off the tape, and what they take on the way is free again at once.
    let (firstKeys, secondKeys) = (keys(first), keys(second))
    let place = (ranks?.rank ?? 0) * first.shape[0]
    let (loss, hits) = infoNCE(queries(first), keys: secondKeys, first: place, temperature: temperature)
    let (mirrored, mirroredHits) = infoNCE(
      queries(second), keys: firstKeys, first: place, temperature: temperature)
    return (weightedSum([(1, loss), (1, mirrored)]), hits + mirroredHits)
  }
}
