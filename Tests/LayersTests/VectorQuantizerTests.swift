import Layers
import Operations
import Tensors
import TestSupport
import Testing

@Suite struct VectorQuantizerTests {
  init() { useSeveralThreads() }

  @Test func threeStepsMatchPyTorch() throws {
    let fixture = try FixtureFile("convolution.h5", of: "OperationsTests")["quantizer"]
    let start = try fixture.tensor("embedding")
    let quantizer = VectorQuantizer(
      entries: start.shape[0], length: start.shape[1], decay: 0.9, in: ParameterScope(seed: 0))
    quantizer.revive(entries: Array(0..<quantizer.entries), with: start)
    for step in 0..<3 {
      let fixture = fixture["step\(step)"]
      let tape = Tape()
      let z = tape.leaf(try fixture.tensor("z"))
      let output = quantizer(z, mode: .training)
      #expect(output.indices.map { Int($0) } == (try fixture.integers("indices")))
      #expect(relativeError(output.quantized, try fixture.tensor("quantized")) < 1e-5)
      #expect(relativeError(output.commitment, try fixture.tensor("commitment")) < 1e-5)
      tape.backward(
        from: weightedSum([
          (1, innerProduct(output.quantized, try fixture.tensor("dy"))), (0.25, output.commitment),
        ]))
      #expect(relativeError(z.gradient, try fixture.tensor("dz")) < 1e-5)

      let statistics = quantizer.statistics.elements.map { Float($0) }
      #expect(Array(statistics.prefix(quantizer.entries)) == (try fixture.tensor("counts").elements))
      #expect(
        relativeError(Array(statistics.dropFirst(quantizer.entries)), try fixture.tensor("sums").elements)
          < 1e-5)
      #expect(abs(quantizer.usage.perplexity / (try fixture.tensor("perplexity").item) - 1) < 1e-5)
      #expect(abs(quantizer.usage.usedShare - (try fixture.tensor("used").item)) < 1e-6)

      quantizer.update()
      #expect(relativeError(quantizer.clusterSize.value, try fixture.tensor("size")) < 1e-5)
      #expect(relativeError(quantizer.embeddingAverage?.value, try fixture.tensor("average")) < 1e-5)
      #expect(relativeError(quantizer.embedding.value, try fixture.tensor("embedding")) < 1e-5)
      #expect(quantizer.statistics.elements.allSatisfy { $0 == 0 })
    }
  }

  /// More entries and vectors than one tile holds, against a search one by one.
  @Test func findsTheNearestAmongMany() {
    let quantizer = VectorQuantizer(entries: 2_100, length: 5, in: ParameterScope(seed: 1))
    let z = randomTensor([150, 5], seed: 2)
    let entries = quantizer.embedding.value.elements
    let expected = (0..<150).map { row -> Int32 in
      let distances = (0..<2_100).map { entry in
        (0..<5).reduce(0.0) { sum, i in
          let d = Double(z[row * 5 + i]) - Double(entries[entry * 5 + i])
          return sum + d * d
        }
      }
      return Int32(distances.indices.min { distances[$0] < distances[$1] } ?? -1)
    }
    #expect(quantizer.nearest(z) == expected)
  }

  @Test func lowestOfEqualEntriesWins() {
    let quantizer = VectorQuantizer(entries: 1_500, length: 3, in: ParameterScope(seed: 1))
    quantizer.embedding.value.fill(4)
    for entry in [37, 38, 1_300] { quantizer.embedding.value[entry * 3] = 1 }
    #expect(quantizer.nearest(Tensor([4, 3], filledWith: 1)) == [37, 37, 37, 37])
  }

  @Test func vectorsThatAreNoNumbersGetSomeEntry() {
    let quantizer = VectorQuantizer(entries: 70, length: 3, in: ParameterScope(seed: 1))
    let output = quantizer(Tensor([2, 3], filledWith: .nan), mode: .evaluation)
    #expect(output.indices == [0, 0])
    #expect(output.commitment.item.isNaN)
  }

  @Test func microBatchesGatherToTheWhole() {
    let scope = ParameterScope(seed: 1)
    let whole = VectorQuantizer(entries: 16, length: 4, in: scope / "a")
    let parts = VectorQuantizer(entries: 16, length: 4, in: scope / "b")
    parts.revive(entries: Array(0..<16), with: whole.embedding.value)
    let z = randomTensor([40, 4], seed: 5)
    _ = whole(z, mode: .training)
    _ = parts(z.view(at: 0, shape: [12, 4]), mode: .training)
    _ = parts(z.view(at: 48, shape: [28, 4]), mode: .training)
    #expect(parts.statistics.elements == whole.statistics.elements)
  }

  /// Statistics are a matter of the mode, and a tape one of gradients.
  @Test(arguments: [false, true]) func statisticsAreGatheredInTrainingAlone(isOnTape: Bool) {
    let quantizer = VectorQuantizer(entries: 16, length: 4, in: ParameterScope(seed: 1))
    let tape = Tape()
    let z = randomTensor([40, 4], seed: 5)
    _ = quantizer(isOnTape ? tape.leaf(z) : z, mode: .evaluation)
    #expect(quantizer.statistics.elements.allSatisfy { $0 == 0 })
    _ = quantizer(isOnTape ? tape.leaf(z) : z, mode: .training)
    #expect(quantizer.statistics.elements.prefix(16).reduce(0, +) == 40)
  }

  @Test func unusedEntriesDieAndComeBack() {
    let quantizer = VectorQuantizer(entries: 8, length: 2, decay: 0.5, in: ParameterScope(seed: 1))
    for entry in 0..<8 {
      quantizer.embedding.value[entry * 2] = Float(entry) * 10
      quantizer.embedding.value[entry * 2 + 1] = 0
    }
    quantizer.embeddingAverage?.value.copyElements(from: quantizer.embedding.value)
    #expect(quantizer.deadEntries(below: 0.1).isEmpty)
    let z = Tensor([30, 0, 50, 0], shape: [2, 2])
    for _ in 0..<6 {
      _ = quantizer(z, mode: .training)
      quantizer.update()
    }
    #expect(quantizer.deadEntries(below: 0.1) == [0, 1, 2, 4, 6, 7])
    quantizer.revive(entries: [0, 7], with: Tensor([1, 2, 3, 4], shape: [2, 2]), clusterSize: 2)
    #expect(quantizer.deadEntries(below: 0.1) == [1, 2, 4, 6])
    #expect(quantizer.lookUp([0, 7], shape: [2, 2]).elements == [1, 2, 3, 4])
    #expect(quantizer.embeddingAverage?.value.elements.suffix(2) == [6, 8])
  }

  @Test func retiredEntriesWaitWhereTheyAre() {
    let quantizer = VectorQuantizer(entries: 4, length: 2, decay: 0.5, in: ParameterScope(seed: 1))
    quantizer.revive(entries: [0, 1, 2, 3], with: Tensor([0, 0, 10, 0, 20, 0, 30, 0], shape: [4, 2]))
    quantizer.retire(entries: [1, 3])
    #expect(quantizer.deadEntries(below: 1e-6) == [1, 3])
    _ = quantizer(Tensor([0, 0, 20, 0, 29, 4], shape: [3, 2]), mode: .training)
    quantizer.update()
    // Nothing chose the second; the last has become what chose it.
    #expect(quantizer.deadEntries(below: 1e-6) == [1])
    #expect(quantizer.lookUp([1], shape: [2]).elements == [10, 0])
    #expect(relativeError(quantizer.lookUp([3], shape: [2]).elements, [29, 4]) < 1e-4)
  }

  @Test func usageOfEvenAndOfNoCounts() {
    let even = [Double](repeating: 3, count: 12) + [0, 0, 0, 0]
    let usage = CodebookUsage(counts: even)
    #expect(abs(usage.perplexity - 12) < 1e-4 && usage.usedShare == 0.75)
    #expect(CodebookUsage(counts: [0, 0, 0, 0]) == CodebookUsage(counts: []))
  }

  /// Entries that learn by the gradient of their own loss, as they are and at length 1.
  @Test(arguments: ["plain", "normalized"])
  func trainedEntriesMatchPyTorch(codebook: String) throws {
    let fixture = try FixtureFile("codebook.h5", of: "OperationsTests")[codebook]
    let start = try fixture.tensor("embedding")
    let scope = ParameterScope(seed: 0)
    let quantizer = VectorQuantizer(
      entries: start.shape[0], length: start.shape[1], learning: .gradient,
      normalized: codebook == "normalized",
      in: scope)
    #expect(scope.parameters.map(\.kind) == [.trained, .state] && quantizer.embeddingAverage == nil)
    quantizer.embedding.set(start)
    let tape = Tape()
    let z = tape.leaf(try fixture.tensor("z"))
    let output = quantizer(z, mode: .training)
    #expect(output.indices.map { Int($0) } == (try fixture.integers("indices")))
    #expect(quantizer.nearest(z) == output.indices)
    #expect(relativeError(output.quantized, try fixture.tensor("quantized")) < 1e-5)
    #expect(
      relativeError(quantizer.lookUp(output.indices, shape: z.shape), try fixture.tensor("quantized")) < 1e-5)
    #expect(relativeError(output.commitment, try fixture.tensor("loss")) < 1e-5)
    let codebookLoss = try #require(output.codebookLoss)
    #expect(relativeError(codebookLoss, try fixture.tensor("loss")) < 1e-5)
    tape.backward(
      from: weightedSum([
        (1, innerProduct(output.quantized, try fixture.tensor("dy"))), (0.25, output.commitment),
        (1, codebookLoss),
      ]))
    #expect(relativeError(z.gradient, try fixture.tensor("dz")) < 1e-5)
    #expect(relativeError(quantizer.embedding.gradient, try fixture.tensor("dembedding")) < 1e-5)

    // Sizes are counted, entries are left to the optimizer.
    let uses = quantizer.statistics.elements
    #expect(uses.count == quantizer.entries && uses.reduce(0, +) == 40)
    quantizer.update()
    #expect(quantizer.embedding.value.elements == start.elements)
    #expect(quantizer.statistics.elements.allSatisfy { $0 == 0 })
    #expect(quantizer.clusterSize.value[Int(output.indices[0])] > 0.99)
  }

  /// Entries of length 1 stay so when they follow averages, and the length of a vector does not matter.
  @Test func averagesOfUnitVectorsAreUnitVectors() {
    let quantizer = VectorQuantizer(
      entries: 12, length: 5, decay: 0.7, normalized: true, in: ParameterScope(seed: 2))
    func lengths() -> [Float] {
      (0..<12).map { entry in
        (0..<5).reduce(Float(0)) {
          let value = quantizer.embedding.value[entry * 5 + $1]
          return $0 + value * value
        }.squareRoot()
      }
    }
    #expect(lengths().allSatisfy { abs($0 - 1) < 1e-5 })
    let z = randomTensor([64, 5], seed: 3)
    let output = quantizer(z, mode: .training)
    #expect(quantizer.nearest(scale(z, 7)) == output.indices)
    #expect(output.codebookLoss == nil)
    let before = quantizer.embedding.value.copy()
    quantizer.update()
    #expect(quantizer.embedding.value.elements != before.elements)
    #expect(lengths().allSatisfy { abs($0 - 1) < 1e-5 })
    // On average the entries have come nearer to their vectors.
    #expect(quantizer(z, mode: .evaluation).commitment.item < output.commitment.item)
    quantizer.revive(entries: [3], with: Tensor([0, 0, 8, 0, 0], shape: [1, 5]))
    #expect(quantizer.lookUp([3], shape: [1, 5]).elements.map { $0.rounded() } == [0, 0, 1, 0, 0])
    // A short step, on which vectors keep their entries.
    #expect(gradientError(of: [z], step: 3e-4) { quantizer($0[0], mode: .evaluation).commitment } < 1e-2)
  }
}
