import Datasets
import ImageOperations
import Operations
import Tensors
import TestSupport
import Testing

/// Mixed images and labels against timm's.
@Suite struct MixingTests {
  @Test(arguments: 0..<4) func pairsAreMixedAsByTimm(number: Int) throws {
    let fixture = try FixtureFile("finetune.h5")["mixing"]["\(number)"]
    let box = try fixture.integers("box")
    let draw: Mixup.Draw =
      box.isEmpty
      ? .blend(share: try fixture.tensor("share").elements[0])
      : .exchange(rows: box[0]..<box[1], columns: box[2]..<box[3])
    let (mixed, shares) = Mixup.mix(try fixture.tensor("images"), [draw])
    #expect(relativeError(mixed, try fixture.tensor("mixed")) < 1e-6)

    let labels = try fixture.integers("labels").map { Int32($0) }
    let targets = Mixup.targets(labels: labels, shares: shares, classes: 7, smoothing: 0.1)
    #expect(relativeError(targets, try fixture.tensor("targets")) < 1e-6)
    let tape = Tape()
    let logits = tape.leaf(try fixture.tensor("logits"))
    let loss = softCrossEntropy(logits, targets)
    tape.backward(from: loss)
    #expect(relativeError([loss.item], try fixture.tensor("loss").elements) < 1e-6)
    #expect(relativeError(logits.gradient, try fixture.tensor("dlogits")) < 1e-5)
  }

  @Test func aPairsDrawBelongsToItsSampleAndStep() {
    let mixup = Mixup(seed: 3)
    let draws = (0..<400).map { mixup.draw(step: 5, sample: $0, size: 32) }
    #expect(draws == (0..<400).map { mixup.draw(step: 5, sample: $0, size: 32) })
    #expect(draws != (0..<400).map { mixup.draw(step: 6, sample: $0, size: 32) })
    let exchanges = draws.filter { if case .exchange = $0 { true } else { false } }.count
    #expect((150..<250).contains(exchanges))
    // A beta distribution of parameters 0.8 has mean 1/2 and variance 1 / (4 · 2.6).
    let shares = (0..<8000).compactMap { index -> Double? in
      guard case .blend(let share) = mixup.draw(step: 0, sample: index, size: 32) else { return nil }
      return Double(share)
    }
    let mean = shares.reduce(0, +) / Double(shares.count)
    let variance = shares.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(shares.count)
    #expect(abs(mean - 0.5) < 0.02 && abs(variance - 1 / 10.4) < 0.005)
  }

  /// The smaller alpha is, the nearer are shares to 0 and 1.
  @Test func smallAlphasMixNothing() {
    let mixup = Mixup(mixupAlpha: 1e-3, cutmixAlpha: 0, probability: 1, seed: 3)
    let shares = (0..<1000).map { index -> Float in
      guard case .blend(let share) = mixup.draw(step: 0, sample: index, size: 32) else { return 1 }
      return share
    }
    #expect(shares.filter { $0 > 0.01 && $0 < 0.99 }.count < 30)
    #expect((400...600).contains(shares.filter { $0 < 0.5 }.count))
  }

  @Test func onlyWhatIsAskedForIsDrawn() {
    let never = Mixup(probability: 0, seed: 1)
    let mixup = Mixup(cutmixAlpha: 0, seed: 1)
    let cutmix = Mixup(mixupAlpha: 0, seed: 1)
    for sample in 0..<50 {
      #expect(never.draw(step: 0, sample: sample, size: 8) == .unchanged)
      if case .blend = mixup.draw(step: 0, sample: sample, size: 8) {} else { Issue.record("no blend") }
      if case .exchange = cutmix.draw(step: 0, sample: sample, size: 8) {
      } else {
        Issue.record("no exchange")
      }
    }
    #expect(!never.isActive && mixup.isActive && cutmix.isActive)
  }
}
