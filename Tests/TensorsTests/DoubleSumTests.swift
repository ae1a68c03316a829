@_spi(TensorMemory) import Tensors
import TestSupport
import Testing

@Suite struct DoubleSumTests {
  init() { useSeveralThreads() }

  /// Terms of very different sizes, so that float32 sums would show their order.
  private func terms(_ count: Int) -> [Tensor] {
    (0..<5).map { term in
      let tensor = randomTensor([count], seed: UInt64(term))
      for i in 0..<count where (i + term) % 3 == 0 { tensor.pointer[i] *= 1000 }
      return tensor
    }
  }

  @Test func theOrderOfTermsDoesNotShow() {
    let count = 50_000
    let sums = DoubleSum(count: count)
    var results: [[Float]] = []
    var plain: [[Float]] = []
    for order in [[0, 1, 2, 3, 4], [4, 2, 0, 1, 3]] {
      let terms = terms(count)
      let rounded = Tensor([count])
      for term in order {
        for i in 0..<count { rounded.pointer[i] += terms[term].pointer[i] }
      }
      plain.append(rounded.elements)
      for term in order { sums.take(terms[term], at: 0) }
      #expect(terms.allSatisfy { $0.elements.allSatisfy { $0 == 0 } })
      sums.move(to: rounded)
      results.append(rounded.elements)
      #expect(sums.elements.allSatisfy { $0 == 0 })
    }
    #expect(plain[0] != plain[1])
    #expect(results[0] == results[1])
    #expect(relativeError(results[0], plain[0]) < 1e-6)
  }

  @Test func termsGoWhereTheyBelong() {
    let sums = DoubleSum(count: 6)
    sums.take(Tensor([1, 2], shape: [2]), at: 1)
    sums.take(Tensor([3, 4, 5], shape: [3]), at: 2)
    #expect(sums.elements == [0, 1, 5, 4, 5, 0])
    sums.withUnsafeMutableElements { elements in
      #expect(elements.count == 6 && elements[2] == 5)
      elements[5] = 7
    }
    #expect(sums.elements == [0, 1, 5, 4, 5, 7])
    sums.clear()
    #expect(sums.elements == [0, 0, 0, 0, 0, 0])
    #expect(DoubleSum(count: 0).withUnsafeMutableElements { $0.isEmpty && $0.baseAddress != nil })
  }
}
