import Foundation
import Layers
import Operations
import Tensors
import TestSupport
import Testing

/// Several ranks as threads of this process, which sum by turns.
private final class Crew {
  private let condition = NSCondition()
  private let size: Int
  private var arrived = 0
  private var round = 0
  private var sums: [Double] = []
  private var result: [Double] = []

  init(_ size: Int) { self.size = size }

  func sum(_ values: UnsafeMutablePointer<Double>, count: Int) {
    condition.lock()
    defer { condition.unlock() }
    if arrived == 0 { sums = [Double](repeating: 0, count: count) }
    for i in 0..<count { sums[i] += values[i] }
    arrived += 1
    let mine = round
    if arrived == size {
      (arrived, result) = (0, sums)
      round += 1
      condition.broadcast()
    }
    while round == mine { condition.wait() }
    for i in 0..<count { values[i] = result[i] }
  }
}

/// A rank of a crew. Unchecked: its own thread alone sets the result, which is read when that has ended.
private final class Member: RankExchange, @unchecked Sendable {
  let rank: Int
  let ranks: Int
  var result: [[Float]] = []
  private let crew: Crew

  init(_ crew: Crew, rank: Int, ranks: Int) {
    self.crew = crew
    self.rank = rank
    self.ranks = ranks
  }

  func sum(_ values: DoubleSum) {
    values.withUnsafeMutableElements { values in
      if let base = values.baseAddress { crew.sum(base, count: values.count) }
    }
  }
  func gather(_ rows: Tensor) -> Tensor { rows }
}

@Suite struct BatchNorm1dTests {
  init() { useSeveralThreads() }

  private func norm(_ fixture: FixtureFile) throws -> BatchNorm1d {
    let isAffine = try fixture.contains("weight")
    let norm = BatchNorm1d(37, affine: isAffine, in: ParameterScope(seed: 0))
    if isAffine {
      norm.weight?.set(try fixture.tensor("weight"))
      norm.bias?.set(try fixture.tensor("bias"))
    }
    return norm
  }

  @Test(arguments: ["batch_norm", "batch_norm_plain"])
  func matchesPyTorch(group: String) throws {
    let fixture = try FixtureFile("contrastive.h5", of: "OperationsTests")[group]
    let norm = try norm(fixture)
    for index in ["0", "1"] {
      let batch = fixture[index]
      for parameter in [norm.weight, norm.bias] { parameter?.enableGradient() }
      let (y, gradients) = differentiate([try batch.tensor("x")], dy: try batch.tensor("dy")) {
        norm($0[0], mode: .training)
      }
      #expect(relativeError(y, try batch.tensor("y")) < 2e-6)
      #expect(relativeError(gradients[0], try batch.tensor("dx")) < 2e-6)
      #expect(relativeError(norm.runningMean.value, try batch.tensor("running_mean")) < 1e-6)
      #expect(relativeError(norm.runningVariance.value, try batch.tensor("running_var")) < 1e-6)
      if norm.weight != nil {
        #expect(relativeError(norm.weight?.gradient, try batch.tensor("dweight")) < 2e-6)
        #expect(relativeError(norm.bias?.gradient, try batch.tensor("dbias")) < 2e-6)
      }
    }
    let evaluation = fixture["evaluation"]
    let (y, gradients) = differentiate([try evaluation.tensor("x")], dy: try evaluation.tensor("dy")) {
      norm($0[0], mode: .evaluation)
    }
    #expect(relativeError(y, try evaluation.tensor("y")) < 2e-6)
    #expect(relativeError(gradients[0], try evaluation.tensor("dx")) < 2e-6)
  }

  @Test func matchesFiniteDifferences() {
    let norm = BatchNorm1d(70, in: ParameterScope(seed: 0))
    let x = randomTensor([33, 70], seed: 1)
    let parameters = [norm.weight, norm.bias].compactMap { $0 }
    #expect(gradientError(of: [x], parameters: parameters) { norm($0[0], mode: .training) } < 1e-2)
  }

  @Test func theBatchOfSeveralRanksIsNormalizedAsOne() {
    let (ranks, rows, channels) = (3, 8, 21)
    @Sendable func run(_ range: Range<Int>, _ exchange: (any RankExchange)?) -> [[Float]] {
      // Each rank draws the same: tensors do not go from thread to thread.
      let x = randomTensor([ranks * rows, channels], seed: 1)
      let dy = randomTensor([ranks * rows, channels], seed: 2)
      let norm = BatchNorm1d(channels, in: ParameterScope(seed: 0))
      for parameter in [norm.weight, norm.bias] { parameter?.enableGradient() }
      func part(_ whole: Tensor) -> Tensor {
        whole.view(at: range.lowerBound * channels, shape: [range.count, channels])
      }
      let (y, gradients) = differentiate([part(x)], dy: part(dy)) {
        norm($0[0], mode: .training, over: exchange)
      }
      return [
        y.elements, gradients[0]?.elements ?? [], norm.runningMean.value.elements,
        norm.runningVariance.value.elements, norm.weight?.gradient?.elements ?? [],
      ]
    }
    let whole = run(0..<ranks * rows, nil)
    let crew = Crew(ranks)
    let members = (0..<ranks).map { Member(crew, rank: $0, ranks: ranks) }
    let group = DispatchGroup()
    for member in members {
      group.enter()
      Thread.detachNewThread {
        member.result = run(member.rank * rows..<(member.rank + 1) * rows, member)
        group.leave()
      }
    }
    group.wait()
    let parts = members.map(\.result)
    // The same to the bit: sums in double precision do not show how they were cut.
    #expect(parts.flatMap { $0[0] } == whole[0])
    #expect(parts.flatMap { $0[1] } == whole[1])
    for part in parts { #expect(part[2] == whole[2] && part[3] == whole[3]) }
    let weights = (0..<channels).map { channel in parts.reduce(Float(0)) { $0 + $1[4][channel] } }
    #expect(relativeError(weights, whole[4]) < 1e-5)
  }

  @Test func aValueThatIsNoNumberShows() {
    let norm = BatchNorm1d(3, in: ParameterScope(seed: 0))
    let x = Tensor([1, 2, 3, 4, .nan, 6], shape: [2, 3])
    let y = norm(x, mode: .training).elements
    #expect(y[0].isFinite && y[1].isNaN && y[4].isNaN && y[5].isFinite)
  }
}
