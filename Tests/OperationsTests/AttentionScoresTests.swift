import CKernels
import Tensors
import TestSupport
import Testing

@Suite struct AttentionScoresTests {
  init() { useSeveralThreads() }

  /// Whole and broken strips of queries, panels of keys and vectors of channels. What lies between the rows stays.
  @Test(arguments: [(1, 1, 1), (11, 32, 16), (12, 33, 64), (25, 81, 20), (3, 16, 256)])
  func scoresMatchTheDefinition(size: (Int, Int, Int)) {
    let (rows, keys, channels) = size
    let (q, k) = (randomTensor([rows, channels + 3], seed: 1), randomTensor([keys, channels + 5], seed: 2))
    let s = Tensor([rows, keys + 2], filledWith: 7)
    let size = peco_turned_keys_size(keys, channels)
    guard size > 0 else { return #expect(peco_vector_bits() < 512) }
    let turned = Tensor(uninitialized: [size])
    turned.withUnsafeMutableElements { turned in
      k.withUnsafeElements {
        peco_turn_keys(turned.baseAddress, $0.baseAddress, channels + 5, keys, channels)
      }
      s.withUnsafeMutableElements { s in
        q.withUnsafeElements {
          peco_scores(
            s.baseAddress, keys + 2, $0.baseAddress, channels + 3, turned.baseAddress, 0.5, rows, keys,
            channels)
        }
      }
    }
    for row in 0..<rows {
      for key in 0..<keys {
        let sum = (0..<channels).reduce(0.0) {
          $0 + Double(q[row * (channels + 3) + $1]) * Double(k[key * (channels + 5) + $1])
        }
        #expect(abs(Double(s[row * (keys + 2) + key]) - 0.5 * sum) < 1e-5)
      }
      #expect(s[row * (keys + 2) + keys] == 7 && s[row * (keys + 2) + keys + 1] == 7)
    }
  }
}
