import Configuration
import Datasets
import MaskedImageModeling
import Tensors
import TestSupport
import Testing
import Trainer

@Suite struct MaskedImageModelingTaskTests {
  @Test func pixelsAreMeasuredAtMaskedPatchesWhicheverArePredicted() throws {
    // Three images of 4 × 4 patches.
    let batch = Batch(
      step: 0, samples: [4, 5, 6], images: randomTensor([3, 16, 16, 3], seed: 1),
      masked: [0, 3, 17, 20, 33, 40], patches: 16)
    let sums = try ["masked", "all"].map { positions in
      let (configuration, _) = try PretrainConfiguration.load(
        yaml: """
          data: {path: a, image_size: 16}
          model: {width: 24, depth: 1, heads: 2, patch_size: 4}
          masking: {count: 2, minimum_block: 1}
          target: {kind: pixels, positions: \(positions)}
          training: {steps: 1}
          """, source: positions)
      let task = try MaskedImageModelingTask(predictingPixels: configuration)
      _ = try task.loss(of: batch, on: nil, mode: .evaluation)
      return ["squared_error", "pixel", "squared_pixel"].map { task.metrics.sum($0) }
        + [task.metrics.weight("pixel")]
    }
    // Squared error, sum, sum of squares, and how many pixels of three colors.
    #expect(sums[0][3] == 6 * 16 * 3 && sums[0][0] > 100)
    for (masked, all) in zip(sums[0], sums[1]) { #expect(abs(all - masked) < 1e-4 * max(abs(masked), 1)) }
  }

  /// Branches are dropped in training, with a tape or without, and never in evaluation.
  @Test func dropPathGoesByTheMode() throws {
    let batch = Batch(
      step: 0, samples: [4, 5, 6], images: randomTensor([3, 16, 16, 3], seed: 1),
      masked: [0, 3, 17, 20, 33, 40], patches: 16)
    let (configuration, _) = try PretrainConfiguration.load(
      yaml: """
        data: {path: a, image_size: 16}
        model: {width: 24, depth: 3, heads: 2, patch_size: 4, drop_path: 0.9}
        masking: {count: 2, minimum_block: 1}
        target: {kind: pixels}
        training: {steps: 1}
        """, source: "x")
    let task = try MaskedImageModelingTask(predictingPixels: configuration)
    func loss(_ tape: Tape?, _ mode: Mode) throws -> Float {
      try task.loss(of: batch, on: tape, mode: mode).mean.item
    }
    let (evaluated, trained) = (try loss(nil, .evaluation), try loss(nil, .training))
    #expect(try loss(Tape(), .evaluation) == evaluated)
    #expect(try loss(Tape(), .training) == trained)
    #expect(trained != evaluated)
  }
}
