import Tensors

extension Tensor {
  /// The element at a place in row-major order.
  public subscript(index: Int) -> Float {
    get { withUnsafeElements { $0[index] } }
    set { withUnsafeMutableElements { $0[index] = newValue } }
  }

  /// Adds factor · other to the elements, in place, off any tape.
  public func add(_ other: Tensor, times factor: Float) {
    withUnsafeMutableElements { elements in
      other.withUnsafeElements { other in
        for i in elements.indices { elements[i] += factor * other[i] }
      }
    }
  }
}
