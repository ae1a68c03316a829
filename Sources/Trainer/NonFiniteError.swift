import Tensors

/// Another rank's loss is not finite, and this one's has no backward without it: the step is over here, and that rank says
/// what happened.
package struct NonFiniteElsewhere: Error {
  package init() {}
}

/// A loss or a gradient that is infinite or not a number. The run ends; the last checkpoint stays as it is.
public struct NonFiniteError: Error, CustomStringConvertible {
  public let description: String

  /// - Parameter places: For each rank, where it met the loss, or an empty string.
  static func loss(step: Int, places: [String]) -> NonFiniteError {
    let found = places.filter { !$0.isEmpty }.joined(separator: "; ")
    return NonFiniteError(description: "the loss of step \(step) is not finite (\(found)); \(advice)")
  }

  /// Names the parameters whose summed gradients are not finite.
  static func gradient(step: Int, loss: Double, in flat: FlatParameters) -> NonFiniteError {
    let names = flat.parameters.filter { parameter in
      guard let gradient = parameter.gradient else { return false }
      return !GradientNorm.norm(of: gradient).isFinite
    }.map(\.name)
    let shown =
      names.prefix(4).joined(separator: ", ") + (names.count > 4 ? " and \(names.count - 4) more" : "")
    return NonFiniteError(
      description: "the gradient of step \(step) is not finite (loss \(loss); in \(shown)); \(advice)")
  }

  private static let advice =
    "a checkpoint from before, if there is one, is kept; go on from it with a lower optimizer.learning_rate, a longer warm-up or a "
    + "lower optimizer.clip_gradient_norm, or look at the images named"
}
