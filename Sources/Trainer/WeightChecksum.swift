import Hashing
import Tensors

/// A checksum over names and values of a model's parameters, in order.
public func weightChecksum(_ parameters: [Parameter]) -> UInt64 {
  var hash = XXHash64()
  for parameter in parameters {
    Array(parameter.name.utf8).withUnsafeBytes { hash.update($0) }
    parameter.value.withUnsafeElements { hash.update(UnsafeRawBufferPointer($0)) }
  }
  return hash.value
}
