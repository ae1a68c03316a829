import CKernels
import Layers
import Tensors

/// MoCo v3 (Chen et al., "An Empirical Study of Training Self-Supervised Vision Transformers", 2104.02057): a vision
/// transformer learns, from unlabeled images, to tell by one view of an image which of many other views is of the
/// same one.
///
/// The encoder's names begin at the root of `scope`, so that a checkpoint is that of a vision transformer, with
/// `projector`, `predictor` and `momentum` beside it.
public struct MomentumContrast {
  /// The transformer that is trained.
  public let encoder: VisionTransformer
  private let projector: ContrastiveHead
  private let predictor: ContrastiveHead
  private let momentumEncoder: VisionTransformer
  private let momentumProjector: ContrastiveHead
  /// What is trained, and what follows it.
  private let followers: [(leader: Parameter, follower: Parameter)]
  private let temperature: Float

  /// Makes the parameters in `scope`, the root of a model.
  ///
  /// - Parameters:
  ///   - hiddenWidth: Of projector and predictor, 4096 in the paper.
  ///   - outputWidth: Of what is compared, 256 in the paper.
  ///   - temperature: τ of the InfoNCE loss.
  /// - Throws: `VisionTransformerConfigurationError`.
  public init(
    _ configuration: VisionTransformerConfiguration, hiddenWidth: Int = 4096, outputWidth: Int = 256,
    temperature: Float = 0.2, in scope: ParameterScope
  ) throws {
    let widths = [configuration.width, hiddenWidth, hiddenWidth, outputWidth]
    encoder = try VisionTransformer(configuration, in: scope)
    projector = ContrastiveHead(widths: widths, in: scope / "projector")
    let leaders = scope.parameters
    predictor = ContrastiveHead(
      widths: [outputWidth, hiddenWidth, outputWidth], in: scope / "predictor")
    let others = scope.parameters.count
    let momentum = (scope / "momentum").untrained
    momentumEncoder = try VisionTransformer(configuration, in: momentum)
    momentumProjector = ContrastiveHead(widths: widths, in: momentum / "projector")
    let pairs = zip(leaders, scope.parameters.dropFirst(others)).map { (leader: $0, follower: $1) }
    for (leader, follower) in pairs { follower.value.copyElements(from: leader.value) }
    followers = pairs.filter { $0.leader.kind == .trained }
    self.temperature = temperature
  }

  /// Whether a parameter serves training alone, and is no part of the transformer.
  public static func isBesideEncoder(_ name: String) -> Bool {
    ["projector.", "predictor.", "momentum."].contains { name.hasPrefix($0) }
  }

  /// The loss of a rank's share of the batch, symmetrized over the two views (algorithm 1), and how many of its
  /// 2 n queries are most similar to their own key among those of all ranks.
  ///
  /// - Parameters:
  ///   - first: A view of each image, [n, side, side, 3]; the same number on every rank.
  ///   - second: Another view of each.
  ///   - momentum: Of the momentum encoder, which follows the encoder before it makes the keys; nil in evaluation,
  ///     where nothing changes.
  ///   - ranks: Who has the rest of the batch; nil where there is no rest.
  public func callAsFunction(
    _ first: Tensor, _ second: Tensor, momentum: Double?, over ranks: (any RankExchange)? = nil
  ) -> (loss: Tensor, correct: Int) {
    let isTraining = momentum != nil
    if let momentum { follow(momentum) }
    func keys(_ view: Tensor) -> Tensor {
      let own = momentumProjector(
        momentumEncoder.classTokens(view.detached), training: isTraining, over: ranks)
      return ranks?.gather(own) ?? own
    }
    func queries(_ view: Tensor) -> Tensor {
      predictor(
        projector(encoder.classTokens(view), training: isTraining, over: ranks), training: isTraining,
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

  /// θ_k ← m θ_k + (1 − m) θ_q of every weight.
  private func follow(_ momentum: Double) {
    for (leader, follower) in followers {
      let (from, to) = (leader.value.pointer, follower.value.pointer)
      ThreadPool.shared.forEachRange(of: leader.count, grain: 1 << 14) { range in
        peco_moving_average(to + range.lowerBound, from + range.lowerBound, momentum, range.count)
      }
    }
  }
}
