/// What backward computes again instead of keeping it since forward.
public enum ActivationCheckpointing: String, Sendable, CaseIterable {
  /// Only what costs less to compute than to read: normalized tokens, GELU.
  case none
  /// Attention's weights besides, which grow with the square of the tokens.
  case selective
}

/// Records operations as they are computed and runs them backwards.
///
/// The tape travels with the data: an operation on a tensor that lies on a tape is recorded there, one on
/// plain tensors is not. A tape belongs to one thread and serves one backward pass.
///
///     let tape = Tape()
///     let loss = model(tape.constant(images))
///     tape.backward(from: loss)
public final class Tape {
  private struct Node {
    let output: GradientSlot
    let shape: [Int]
    let parameters: [Parameter]
    let backward: (Tensor) -> Void
  }

  private var nodes: [Node] = []
  private var pendingUses: [ObjectIdentifier: Int] = [:]

  /// What operations on this tape leave to be computed again.
  public let activationCheckpointing: ActivationCheckpointing

  /// An empty tape.
  public init(activationCheckpointing: ActivationCheckpointing = .none) {
    self.activationCheckpointing = activationCheckpointing
  }

  /// Puts data on the tape without asking for its gradient (images, targets).
  public func constant(_ value: Tensor) -> Tensor {
    let tensor = value.detached
    tensor.tape = self
    return tensor
  }

  /// Puts data on the tape and keeps the gradient with respect to it.
  public func leaf(_ value: Tensor) -> Tensor {
    let tensor = constant(value)
    tensor.slot = GradientSlot(value.dtype)
    return tensor
  }

  /// Records an operation, so that `backward` calls `gradient` with the gradient of its output.
  ///
  /// - Parameters:
  ///   - output: What the operation computed; it is put on the tape if anything before it asks for gradients.
  ///   - inputs: The tensors it was computed from. `gradient` adds to them with `Tensor.addGradient`.
  ///   - parameters: The parameters it used. `gradient` adds into `Parameter.gradient` where it is not nil.
  ///   - gradient: The operation's backward. It holds on only to the values that it reads.
  /// - Returns: `output`.
  @discardableResult
  public static func record(
    _ output: Tensor, from inputs: [Tensor], parameters: [Parameter] = [],
    gradient: @escaping (_ outputGradient: Tensor) -> Void
  ) -> Tensor {
    guard let tape = inputs.lazy.compactMap({ $0.tape }).first else { return output }
    output.tape = tape
    let trained = parameters.filter { $0.gradient != nil }
    guard !trained.isEmpty || inputs.contains(where: { $0.needsGradient }) else { return output }
    let slot = GradientSlot(output.dtype)
    output.slot = slot
    for parameter in trained { tape.pendingUses[ObjectIdentifier(parameter), default: 0] += 1 }
    tape.nodes.append(Node(output: slot, shape: output.shape, parameters: trained, backward: gradient))
    return output
  }

  /// Sends gradients from a scalar back to every leaf and parameter, and empties the tape.
  ///
  /// - Parameters:
  ///   - loss: A tensor of one element on this tape.
  ///   - scale: The gradient of what is minimized with respect to `loss`, for example the share of a
  ///     micro-batch in its global batch.
  ///   - onReady: Called with each parameter when nothing more will be added to its gradient.
  public func backward(from loss: Tensor, scale: Float = 1, onReady: ((Parameter) -> Void)? = nil) {
    precondition(loss.count == 1, "backward starts from a scalar, not from shape \(loss.shape)")
    precondition(loss.tape === self, "the loss is not on this tape")
    loss.slot?.gradient = Tensor([scale], shape: loss.shape)
    while let node = nodes.popLast() {
      // An output that nobody used has no gradient; its inputs get nothing from it.
      if let outputGradient = node.output.gradient {
        node.output.gradient = nil
        // Who used the output under another shape left its gradient in that.
        node.backward(
          outputGradient.shape == node.shape ? outputGradient : outputGradient.reshaped(node.shape))
      }
      for parameter in node.parameters {
        let key = ObjectIdentifier(parameter)
        let left = (pendingUses[key] ?? 1) - 1
        pendingUses[key] = left
        if left == 0 { onReady?(parameter) }
      }
    }
    pendingUses.removeAll(keepingCapacity: true)
  }
}
