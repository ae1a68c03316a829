import Foundation
import Operations
import Tensors
import TestSupport
import Testing

@Suite struct GumbelSoftmaxTests {
  init() { useSeveralThreads() }

  /// The noise is that of the tokens of the sample's own random stream, whoever computes it.
  @Test func noiseBelongsToTheSample() {
    let noise = GumbelNoise(seed: 5, step: 3, samples: [7, 2])([2, 3, 70])
    for (place, sample) in [7, 2].enumerated() {
      var stream = RandomStream(seed: 5, purpose: .gumbel, time: 3, index: sample)
      for i in 0..<210 {
        let u = (Double(stream.nextWord() >> 9) + 0.5) * 0x1p-23
        let expected = -log(-log(u))
        #expect(abs(Double(noise[place * 210 + i]) - expected) < 2e-6 * max(1, abs(expected)))
      }
    }
    let alone = GumbelNoise(seed: 5, step: 3, samples: [2])([1, 3, 70])
    #expect(alone.elements == Array(noise.elements[210...]))
    #expect(GumbelNoise(seed: 5, step: 4, samples: [2])([1, 3, 70]).elements != alone.elements)
  }

  /// More than one piece of a sample, and the distribution's mean (Euler's constant) and variance (π² / 6).
  @Test func noiseIsGumbels() {
    let count = 100_003
    let values = GumbelNoise(seed: 1, step: 0, samples: [0])([1, count]).elements.map { Double($0) }
    #expect(values.allSatisfy { $0.isFinite })
    let mean = values.reduce(0, +) / Double(count)
    let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count)
    #expect(abs(mean - 0.57722) < 0.02)
    #expect(abs(variance - Double.pi * Double.pi / 6) < 0.05)
    var stream = RandomStream(seed: 1, purpose: .gumbel)
    for _ in 0..<count - 1 { _ = stream.nextWord() }
    let last = -log(-log((Double(stream.nextWord() >> 9) + 0.5) * 0x1p-23))
    #expect(abs(values[count - 1] - last) < 1e-5)
  }

  @Test func sampleAndItsGradient() {
    let logits = randomTensor([4, 2, 37], seed: 1)
    let noise = randomTensor([4, 2, 37], seed: 2)
    let expected = softmax(scale(add(logits, noise), 1 / 0.4))
    let found = gumbelSoftmax(logits, noise: noise, temperature: 0.4)
    #expect(relativeError(found, expected) < 1e-6)
    #expect(gradientError(of: [logits]) { gumbelSoftmax($0[0], noise: noise, temperature: 0.4) } < 1e-2)
    // At a low temperature little is left but the token of the greatest sum.
    let hard = gumbelSoftmax(logits, noise: noise, temperature: 1e-3)
    for (row, token) in argmax(add(logits, noise)).enumerated() {
      #expect(hard[row * 37 + Int(token)] > 0.5)
    }
  }

  @Test func divergenceFromTheUniformPrior() {
    #expect(abs(uniformDivergence(Tensor([3, 20], filledWith: 4)).item) < 1e-6)
    let certain = Tensor([2, 20])
    certain[3] = 200
    certain[20] = 200
    #expect(abs(uniformDivergence(certain).item - log(20)) < 1e-5)
    let logits = randomTensor([50, 33], seed: 3)
    let direct = (0..<50).reduce(0.0) { total, row in
      let exps = (0..<33).map { exp(Double(logits[row * 33 + $0])) }
      let sum = exps.reduce(0, +)
      return total + exps.reduce(0.0) { $0 + $1 / sum * (log($1 / sum) + log(33)) } / 50
    }
    #expect(abs(Double(uniformDivergence(logits).item) - direct) < 1e-5 * direct)
    #expect(gradientError(of: [logits]) { uniformDivergence($0[0]) } < 1e-2)
    certain[5] = .nan
    #expect(uniformDivergence(certain).item.isNaN)
  }

  @Test func likelihoodOfPixels() {
    let statistics = randomTensor([2, 5, 6], seed: 4)
    let target = sigmoid(randomTensor([2, 5, 3], seed: 5))
    var direct = 0.0
    for pixel in 0..<10 {
      for c in 0..<3 {
        let x = Double(target[pixel * 3 + c])
        let (mean, logScale) = (
          Double(statistics[pixel * 6 + c]), Double(statistics[pixel * 6 + 3 + c])
        )
        direct +=
          (logScale + log(2 * x * (1 - x)) + abs(log(x / (1 - x)) - mean) * exp(-logScale)) / 30
      }
    }
    #expect(abs(Double(logitLaplaceLoss(statistics, target).item) - direct) < 1e-5)
    #expect(gradientError(of: [statistics], step: 1e-3) { logitLaplaceLoss($0[0], target) } < 1e-2)
  }

  @Test func sigmoidAndSlice() {
    let x = randomTensor([3, 4, 6], seed: 6)
    #expect(gradientError(of: [x]) { sigmoid($0[0]) } < 1e-2)
    for (value, found) in zip(x.elements, sigmoid(x).elements) {
      #expect(abs(1 / (1 + exp(-Double(value))) - Double(found)) < 1e-6)
    }
    #expect(gradientError(of: [x]) { channelSlice($0[0], 2..<5) } < 1e-2)
    #expect(channelSlice(x, 2..<5).elements == (0..<36).map { x[$0 / 3 * 6 + 2 + $0 % 3] })
  }

  @Test func argmaxTakesTheFirst() {
    let x = Tensor([1, 3, 3, 0, -1, -5, -1, -1, .nan, .nan, .nan, .nan], shape: [3, 4])
    #expect(argmax(x) == [1, 0, 0])
    let wide = randomTensor([9, 300], seed: 7)
    let expected = (0..<9).map { row in
      Int32((0..<300).max { wide[row * 300 + $0] < wide[row * 300 + $1] } ?? -1)
    }
    #expect(argmax(wide) == expected)
  }
}
