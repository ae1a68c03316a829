import CKernels
@_spi(TensorMemory) import Tensors

/// The value of a parameter as a tensor, for operations that take tensors: what they add to its gradient goes to the
/// parameter's.
///
/// - Parameters:
///   - parameter: What is read; held or frozen, it gets no gradient.
///   - x: Any tensor of the tape that is to record this.
public func value(of parameter: Parameter, alongside x: Tensor) -> Tensor {
  Tape.record(parameter.value.detached, from: [x], parameters: [parameter]) { dy in
    guard let gradient = parameter.gradient else { return }
    ThreadPool.current.forEachRange(of: gradient.count, grain: 1 << 15) { range in
      peco_add_in_place(gradient.pointer + range.lowerBound, dy.pointer + range.lowerBound, range.count)
    }
  }
}
