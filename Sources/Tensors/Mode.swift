/// What a forward pass is for, where that makes a difference: statistics of the batch, random draws, mixed images.
///
/// It is passed. A tape says only whether gradients are wanted, which they may be in evaluation, and may not in
/// training.
public enum Mode: Sendable {
  /// The model learns from the batch: layers gather its statistics, and branches and pixels are dropped as drawn.
  case training
  /// The model is looked at and left as it is.
  case evaluation
}
