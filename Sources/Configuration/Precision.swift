/// The number format in which matrices are multiplied and images convolved, as it is asked for. Master weights, the
/// optimizer's moments, sums and losses are float32 with any.
public enum Precision: String, Sendable, CaseIterable {
  case float32
  case bfloat16
  /// bfloat16 where all processors of a run multiply it by instructions of their own, float32 elsewhere.
  case auto
}
