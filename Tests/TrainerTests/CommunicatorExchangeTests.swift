import Communication
import Layers
import Tensors
import TestSupport
import Testing
import Trainer

/// What operations exchange while forward and backward run.
@Suite(.timeLimit(.minutes(1))) struct CommunicatorExchangeTests {
  @Test(arguments: 1...4) func rowsAreGatheredInTheOrderOfRanks(_ ranks: Int) throws {
    let gathered = try InProcessRanks.run(ranks, threads: 1) { communicator in
      let exchange = try CommunicatorExchange(communicator)
      let place = Float(exchange.rank)
      let all = exchange.gather(Tensor([place, 0.5, -place, 7], shape: [2, 1, 2]))
      try exchange.check()
      return (all.shape, all.elements, exchange.ranks(where: exchange.rank > 0))
    }
    for (shape, elements, others) in gathered {
      #expect(shape == [2 * ranks, 1, 2] && others == ranks - 1)
      #expect(elements == (0..<ranks).flatMap { [Float($0), 0.5, -Float($0), 7] })
    }
  }

  @Test func batchNormalizationTakesTheSumsOfAllRanks() throws {
    // One column: 1, 2, 3, 6 on two ranks. Mean 3, variance 3.5, with Bessel's correction 14 / 3.
    let results = try InProcessRanks.run(2, threads: 1) { communicator in
      let exchange = try CommunicatorExchange(communicator)
      let norm = BatchNorm1d(1, affine: false, epsilon: 0, in: ParameterScope(seed: 1))
      let x = Tensor(communicator.rank == 0 ? [1, 2] : [3, 6], shape: [2, 1])
      // The gradient of the first output alone reaches all inputs, over ranks.
      let dy = Tensor(communicator.rank == 0 ? [1, 0] : [0, 0], shape: [2, 1])
      let (y, gradients) = differentiate([x], dy: dy) { norm($0[0], mode: .training, over: exchange) }
      try exchange.check()
      return [
        y.elements, gradients[0]?.elements ?? [], norm.runningMean.value.elements,
        norm.runningVariance.value.elements,
      ]
    }
    let deviation = Float(3.5).squareRoot()
    let normalized = [Float(-2), -1, 0, 3].map { $0 / deviation }
    #expect(relativeError(results[0][0] + results[1][0], normalized) < 1e-6)
    // (dy − mean dy − x̂ · mean (dy x̂)) / σ
    let slopes = normalized.enumerated().map { place, value in
      ((place == 0 ? 1 : 0) - 0.25 - value * normalized[0] / 4) / deviation
    }
    #expect(relativeError(results[0][1] + results[1][1], slopes) < 1e-6)
    for result in results {
      #expect(relativeError(result[2], [0.3]) < 1e-6)
      #expect(relativeError(result[3], [0.9 + 0.1 * 14 / 3]) < 1e-6)
    }
  }

  @Test func theFirstErrorIsKeptOnEveryRankAndNothingIsSentAfterIt() throws {
    let errors = try InProcessRanks.run(3, threads: 1) { communicator in
      let exchange = try CommunicatorExchange(communicator)
      // One rank has more rows than the others.
      _ = exchange.gather(Tensor([communicator.rank == 1 ? 2 : 1, 3]))
      // Which would wait for ever, or fail by another error, if it were sent.
      if communicator.rank == 0 { exchange.sum(DoubleSum(count: 1)) }
      do {
        try exchange.check()
        return ""
      } catch {
        return "\(error)"
      }
    }
    #expect(errors.allSatisfy { $0.contains("ranks make different calls") && $0 == errors[0] })
  }

  @Test func aRankThatLeavesReleasesTheOthers() throws {
    let released = try InProcessRanks.run(3, threads: 1) { communicator in
      let exchange = try CommunicatorExchange(communicator)
      if communicator.rank == 1 { return true }
      exchange.sum(DoubleSum(count: 1))
      do {
        try exchange.check()
        return false
      } catch is AbandonedCollectiveError {
        return true
      }
    }
    #expect(released == [true, true, true])
  }
}
