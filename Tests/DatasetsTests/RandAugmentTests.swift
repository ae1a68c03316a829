import Datasets
import Imaging
import Tensors
import TestSupport
import Testing

/// RandAugment's operations against timm's.
@Suite struct RandAugmentTests {
  @Test(arguments: RandAugment.Kind.allCases, [true, false])
  func randAugmentsArgumentsAreTimms(kind: RandAugment.Kind, increasing: Bool) throws {
    let policy = try #require(RandAugment("rand-m9-mstd0.5-inc\(increasing ? 1 : 0)"))
    #expect(policy.magnitude == 9 && policy.deviation == 0.5 && policy.isIncreasing == increasing)
    let name = kind.rawValue.reduce("") { $0 + ($1.isUppercase ? "_" + $1.lowercased() : String($1)) }
    let rows = try FixtureFile("finetune.h5")[increasing ? "inc1" : "inc0"].tensor(name)
    for row in 0..<rows.shape[0] {
      let (magnitude, isNegative) = (Double(rows[3 * row]), rows[3 * row + 1] > 0)
      let found = policy.operation(
        kind, level: (magnitude * 10).rounded() / 100, isNegative: isNegative
      ).argument
      #expect(abs(found - Double(rows[3 * row + 2])) < 1e-5, "\(kind) \(magnitude)")
    }
  }

  @Test func otherPoliciesAreRefused() {
    for text in ["", "augmix-m3", "rand-m11", "rand-x3", "rand-m9-n0", "rand-mstd"] {
      #expect(RandAugment(text) == nil, "\(text)")
    }
    #expect(RandAugment("rand-m7-n3")?.layers == 3)
    #expect(RandAugment("rand-m7-mstd100")?.deviation == 100)
    #expect(RandAugment("rand-m7-mstd101")?.deviation == .infinity)
  }
}

extension ImageOperation {
  /// The operation's number, 0 where it has none.
  fileprivate var argument: Double {
    switch self {
    case .autoContrast, .equalize, .invert: 0
    case .posterize(let bits): Double(bits)
    case .solarize(let threshold): Double(threshold)
    case .solarizeAdd(let amount): Double(amount)
    case .color(let value), .contrast(let value), .brightness(let value), .sharpness(let value): Double(value)
    case .rotate(let value), .shearX(let value), .shearY(let value), .translateX(let value),
      .translateY(let value):
      value
    }
  }
}
