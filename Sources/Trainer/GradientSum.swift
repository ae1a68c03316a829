import Communication
import Configuration
import Tensors

/// Sums gradients over the micro-batches of a step and over all ranks, in the precision that the configuration asks
/// for.
///
/// In float32 micro-batches add to the flat gradients one after the other and ranks reduce those: nothing more is
/// kept and sent than gradients, and their last bits depend on the number of ranks. In float64 each micro-batch's
/// gradients move into sums of double precision, which ranks reduce and which are rounded once: micro-batches of
/// one size give the same bits on any number of ranks. In bfloat16 micro-batches add up in float32, and the sums are
/// rounded to travel: ranks send half the bytes.
final class GradientSum {
  private let flat: FlatParameters
  /// Nil in float32, and where there is but one term.
  private let wide: DoubleSum?
  private let reducer: GradientReducer

  /// Prepares the sums over the gradients of `flat`. Collective.
  init(_ flat: FlatParameters, plan: RunPlan, communicator: Communicator) throws {
    self.flat = flat
    let isWide =
      plan.shared.communication.reduceDtype == .float64 && plan.microBatches * communicator.size > 1
    wide = isWide ? DoubleSum(count: flat.count) : nil
    let narrow = plan.shared.communication.reduceDtype == .bfloat16 ? BFloat16Sum() : nil
    let elementBytes = isWide ? MemoryLayout<Double>.stride : MemoryLayout<Float>.stride
    reducer = try GradientReducer(
      communicator: communicator, count: flat.count, parameters: flat.ranges,
      bucketElements: Int(plan.shared.communication.bucketMegabytes * 1_048_576) / elementBytes
    ) { [wide, gradients = flat.gradients] communicator, range in
      if let wide {
        try communicator.allReduce(.sum, wide, in: range)
      } else if let narrow {
        try communicator.allReduce(by: narrow, gradients, in: range)
      } else {
        try communicator.allReduce(.sum, gradients, in: range)
      }
    }
  }

  /// Starts a step, with gradients that are zero.
  func begin() { reducer.begin() }

  /// Says that a micro-batch adds nothing more to a parameter's gradient; after the last one the ranks' reduction of
  /// it may begin.
  func ready(_ parameter: Parameter, isLastMicroBatch: Bool) {
    if let wide, let gradient = parameter.gradient {
      wide.take(gradient, at: flat.ranges[parameter.index].lowerBound)
    }
    if isLastMicroBatch { reducer.ready(parameter.index) }
  }

  /// Waits until the flat gradients hold the sums over micro-batches and ranks.
  func finish() throws -> GradientReducer.Timing {
    let timing = try reducer.finish()
    wide?.move(to: flat.gradients)
    return timing
  }
}
