import Foundation

/// MoCo v3's fixed position embedding (Chen et al., 2104.02057, section 4.1) of a class token, which gets zeros, and
/// grid × grid patches: a quarter of the width each for sine and cosine of the row, sine and cosine of the column, at
/// frequencies from 1 down to 1/10000. [1 + grid², width]
func sinCosPositions(grid: Int, width: Int) -> [Float] {
  let quarter = width / 4
  let frequencies = (0..<quarter).map { pow(10000, -Double($0) / Double(quarter)) }
  var result = [Float](repeating: 0, count: width)
  result.reserveCapacity((1 + grid * grid) * width)
  for row in 0..<grid {
    for column in 0..<grid {
      for place in [row, column] {
        result += frequencies.map { Float(sin(Double(place) * $0)) }
        result += frequencies.map { Float(cos(Double(place) * $0)) }
      }
    }
  }
  return result
}
