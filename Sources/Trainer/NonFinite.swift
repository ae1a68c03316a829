import Communication
import Tensors

/// Another rank's loss is not finite, and this one's has no backward without it: the step is over here, and that rank
/// says what happened.
package struct NonFiniteElsewhere: Error {
  package init() {}
}

/// Losses and gradients that are infinite or not a number. All ranks know of it: the run ends, and the last checkpoint
/// stays as it is.
enum NonFinite {
  /// - Parameter places: For each rank, where it met the loss, or an empty string.
  static func loss(step: Int, places: [String]) -> AgreedError {
    let found = places.filter { !$0.isEmpty }.joined(separator: "; ")
    return AgreedError(
      rank: places.firstIndex { !$0.isEmpty } ?? 0,
      description: "the loss of step \(step) is not finite (\(found)); \(advice)")
  }

  /// Names the parameters whose summed gradients are not finite.
  static func gradient(step: Int, loss: Double, in flat: FlatParameters) -> AgreedError {
    let names = flat.parameters.filter { parameter in
      guard let gradient = parameter.gradient else { return false }
      return !GradientNorm.norm(of: gradient).isFinite
    }.map(\.name)
    let shown =
      names.prefix(4).joined(separator: ", ") + (names.count > 4 ? " and \(names.count - 4) more" : "")
    return AgreedError(
      rank: 0,
      description: "the gradient of step \(step) is not finite (loss \(loss); in \(shown)); \(advice)")
  }

  private static let advice =
    "a checkpoint from before, if there is one, is kept; go on from it with a lower optimizer.learning_rate, a longer warm-up or a "
    + "lower optimizer.clip_gradient_norm, or look at the images named"
}
