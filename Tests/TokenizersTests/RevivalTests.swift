import Communication
import Datasets
import Layers
import Models
import Operations
import Tensors
import TestSupport
import Testing
import Trainer
import VQVAETraining

/// Codebook entries that encoder outputs replace, on ranks in threads.
@Suite(.timeLimit(.minutes(1))) struct RevivalTests {
  /// What a codebook holds, row by row.
  private struct Codebook: Equatable, Sendable {
    var entries: [[Float]]
    var sizes: [Float]
    var sums: [[Float]]

    init(_ task: VQVAETask) {
      let quantizer = task.model.quantizer
      entries = rows(of: quantizer.embedding.value)
      sizes = quantizer.clusterSize.value.elements
      sums = quantizer.embeddingAverage.map { rows(of: $0.value) } ?? []
    }
  }

  /// The codebook at the beginning and after each step, and how many entries the step replaced. The encoder
  /// stays as it is.
  private func steps(
    _ numbers: ClosedRange<Int>, of tokenizer: SmallTokenizer, ranks: Int,
    beginning prepare: @escaping @Sendable (VQVAETask) -> Void = { _ in }
  ) throws -> [(codebook: Codebook, revived: Double)] {
    let all = try InProcessRanks.run(ranks, threads: 1) { communicator in
      let task = try tokenizer.task()
      prepare(task)
      let share = try tokenizer.share(of: communicator)
      var result = [(codebook: Codebook(task), revived: 0.0)]
      for number in numbers {
        for part in 0..<share.microBatches {
          let batch = SmallTokenizer.batch(step: number - 1, share.range(ofMicroBatch: part))
          _ = try task.loss(of: batch, on: nil, mode: .training)
        }
        let measures = try task.finishStep(number, metrics: task.metrics, communicator: communicator)
        let revived = try #require(measures.first { $0.name == "entries_revived" }).value
        result.append((Codebook(task), revived))
      }
      return result
    }
    for (rank, result) in all.enumerated() {
      #expect(result.map(\.codebook) == all[0].map(\.codebook), "rank \(rank) of \(ranks)")
      #expect(result.map(\.revived) == all[0].map(\.revived), "rank \(rank) of \(ranks)")
    }
    return all[0]
  }

  /// What the encoder gives for the images of a step, one row a token, as the codebook takes it.
  private func encoded(step number: Int, by tokenizer: SmallTokenizer) throws -> [[Float]] {
    let model = try tokenizer.task().model
    return stride(from: 0, to: SmallTokenizer.images, by: 2).flatMap { first -> [[Float]] in
      let images = SmallTokenizer.batch(step: number - 1, first..<first + 2).tokenizerImages
      let vectors = images.map { model.encode($0) } ?? Tensor([0, 4])
      return rows(of: model.quantizer.isNormalized ? unitChannels(vectors) : vectors)
    }
  }

  private static let codebooks = [
    [], ["codebook.normalize=true"], ["codebook.learning=gradient"],
    ["codebook.learning=gradient", "codebook.normalize=true"],
  ]

  @Test(arguments: codebooks) func theFirstStepTakesEncoderOutputsOfTheWholeBatch(
    _ settings: [String]
  ) throws {
    let tokenizer = try SmallTokenizer(settings)
    let alone = try steps(1...1, of: tokenizer, ranks: 1)[1]
    let outputs = try encoded(step: 1, by: tokenizer)
    #expect(outputs.count == 128 && Set(outputs).count == 128)
    #expect(alone.revived == 24 && alone.codebook.sizes == [Float](repeating: 1, count: 24))
    #expect(alone.codebook.sums.isEmpty || alone.codebook.sums == alone.codebook.entries)
    let places = alone.codebook.entries.compactMap { outputs.firstIndex(of: $0) }
    #expect(Set(places).count == 24)
    // From every quarter of the batch, so from every rank of four.
    #expect(Set(places.map { $0 / 32 }) == [0, 1, 2, 3])
    for ranks in [2, 4] {
      #expect(try steps(1...1, of: tokenizer, ranks: ranks)[1].codebook == alone.codebook, "\(ranks) ranks")
    }
  }

  @Test func entriesBeyondTheVectorsOfTheFirstStepRetireAndWait() throws {
    let tokenizer = try SmallTokenizer(["codebook.size=300", "codebook.revive_every_steps=3"])
    let alone = try steps(1...3, of: tokenizer, ranks: 1)
    let (start, first) = (alone[0].codebook, alone[1].codebook)
    let filled = first.sizes.indices.filter { first.sizes[$0] == 1 }
    let waiting = first.sizes.indices.filter { first.sizes[$0] == 0 }
    #expect(filled.count == 128 && waiting.count == 172 && alone[1].revived == 128)
    // Each vector has an entry, and which entries are filled is drawn.
    #expect(try Set(filled.map { first.entries[$0] }) == Set(encoded(step: 1, by: tokenizer)))
    #expect((filled.max() ?? 0) >= 128)
    // A retired entry counts for nothing. The step has moved those that were chosen, before they retired.
    #expect(waiting.allSatisfy { first.sums[$0] == [0, 0, 0, 0] })
    #expect(waiting.count { first.entries[$0] == start.entries[$0] } > 0)

    #expect(alone[2].revived == 0)
    // The third step: dead is what has had few vectors, by sizes worked out from the tokens.
    let sizes = try sizesByHand(after: 2...3, of: tokenizer, from: alone)
    let dead = sizes.indices.filter { sizes[$0] < 0.03 }
    #expect(dead.count > 128 && dead.allSatisfy(waiting.contains) && alone[3].revived == 128)
    let last = alone[3].codebook
    let outputs = try Set(encoded(step: 3, by: tokenizer))
    let revived = last.entries.indices.filter { outputs.contains(last.entries[$0]) }
    #expect(Set(revived.map { last.entries[$0] }).count == 128 && revived.count == 128)
    #expect(revived.allSatisfy { dead.contains($0) && last.sizes[$0] == 1 })
    // The others keep what they had: after the first step nothing retires.
    for entry in sizes.indices where !revived.contains(entry) {
      #expect(abs(last.sizes[entry] - sizes[entry]) < 1e-6)
    }
    for ranks in [2, 4] {
      let split = try steps(1...3, of: tokenizer, ranks: ranks)
      #expect(split.map(\.codebook) == alone.map(\.codebook), "\(ranks) ranks")
      #expect(split.map(\.revived) == alone.map(\.revived), "\(ranks) ranks")
    }
  }

  /// Sizes after some steps, as moving averages of how often the entries were chosen, from the codebooks before
  /// each step.
  private func sizesByHand(
    after numbers: ClosedRange<Int>, of tokenizer: SmallTokenizer,
    from steps: [(codebook: Codebook, revived: Double)]
  ) throws -> [Float] {
    var sizes = steps[numbers.lowerBound - 1].codebook.sizes
    for number in numbers {
      let entries = steps[number - 1].codebook.entries
      var counts = [Float](repeating: 0, count: entries.count)
      for vector in try encoded(step: number, by: tokenizer) {
        let distances = entries.map { entry in
          zip(entry, vector).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        }
        if let nearest = distances.indices.min(by: { distances[$0] < distances[$1] }) { counts[nearest] += 1 }
      }
      sizes = zip(sizes, counts).map { 0.99 * $0 + 0.01 * $1 }
    }
    return sizes
  }

  @Test(arguments: codebooks) func laterStepsReplaceDeadEntriesAndNoOthers(_ settings: [String]) throws {
    let dead = [3, 7, 20]
    // Long out of use, and too far away, or too rarely chosen, to come back.
    let prepare: @Sendable (VQVAETask) -> Void = { task in
      let quantizer = task.model.quantizer
      quantizer.retire(entries: dead)
      for entry in dead { quantizer.embedding.value[row: entry].fill(1000) }
    }
    let tokenizer = try SmallTokenizer(
      settings + ["codebook.revive_every_steps=5", "codebook.revival_threshold=0.5"])
    let untouched = try SmallTokenizer(settings + ["codebook.revive_every_steps=0"])
    let outputs = try encoded(step: 5, by: tokenizer)
    let without = try steps(4...5, of: untouched, ranks: 1, beginning: prepare)
    for ranks in [1, 2, 4] {
      let with = try steps(4...5, of: tokenizer, ranks: ranks, beginning: prepare)
      #expect(with[1].codebook == without[1].codebook && with[1].revived == 0)
      #expect(with[2].revived == 3)
      let (found, others) = (with[2].codebook, without[2].codebook)
      #expect(Set(dead.compactMap { outputs.firstIndex(of: found.entries[$0]) }).count == 3)
      #expect(dead.allSatisfy { found.sizes[$0] == 1 })
      for entry in found.entries.indices where !dead.contains(entry) {
        #expect(found.entries[entry] == others.entries[entry] && found.sizes[entry] == others.sizes[entry])
      }
    }
  }

  /// With the weights trained in between.
  @Test func trainingIsTheSameOnAnyNumberOfRanks() throws {
    let tokenizer = try SmallTokenizer(["codebook.revive_every_steps=2", "codebook.revival_threshold=1.02"])
    let runs = try [1, 2, 4].map { ranks in
      let all = try InProcessRanks.run(ranks, threads: 1) { communicator in
        let task = try tokenizer.task()
        let (step, images) = try tokenizer.training(task, on: communicator)
        let measures = try (0..<4).map { number in
          let metrics = try step.advance(from: number, reading: images)
          return [metrics.loss] + metrics.others.filter { $0.name == "entries_revived" }.map(\.value)
        }
        return (measures, task.parameters.map(\.value.elements))
      }
      #expect(all.allSatisfy { $0.0 == all[0].0 && $0.1 == all[0].1 }, "\(ranks) ranks")
      return all[0]
    }
    #expect(runs[0].0.map { $0[1] > 0 } == [true, true, false, true])
    for run in runs[1...] { #expect(run.0 == runs[0].0 && run.1 == runs[0].1) }
  }
}

/// The rows of a tensor [..., length].
private func rows(of tensor: Tensor) -> [[Float]] {
  let (length, elements) = (tensor.shape.last ?? 1, tensor.elements)
  return stride(from: 0, to: elements.count, by: length).map { Array(elements[$0..<$0 + length]) }
}
