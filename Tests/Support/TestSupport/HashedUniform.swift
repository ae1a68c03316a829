/// A value in [0, 1) from a hash of two numbers, as `uniform` of `ModelsTests/Fixtures/hashed.py` computes it: weights
/// of large networks, which no file needs to hold.
public func hashedUniform(_ number: Int, _ element: Int) -> Float {
  var h = UInt32(truncatingIfNeeded: element) &* 0x9E37_79B1
  h = h &+ UInt32(truncatingIfNeeded: number) &* 0x85EB_CA77
  h = (h ^ (h >> 15)) &* 0x2C1B_3C6D
  h = (h ^ (h >> 12)) &* 0x297A_2D39
  h = h ^ (h >> 15)
  return Float(h >> 8) / Float(1 << 24)
}
