import Classification
import Communication
import Evaluation
import Foundation
import Layers
import Models
import Preparation
import Tensors
import Terminal
import TestSupport
import Testing
import Tokenizers
import Trainer

/// What a classifier makes of reconstructions.
@Suite struct TokenizerEvaluationTests {
  /// A tokenizer whose tokens are the very images that it was shown, or gray ones.
  private final class Memory: Tokenizer {
    let imageSize: Int
    let patchSize: Int
    let isBlank: Bool
    let vocabulary = 1 << 20
    let parameters: [Parameter] = []
    private var seen: [Float] = []

    init(imageSize: Int, isBlank: Bool = false) {
      (self.imageSize, self.isBlank) = (imageSize, isBlank)
      patchSize = imageSize
    }

    func tokens(_ images: Tensor) -> [Int32] {
      let first = seen.count / (imageSize * imageSize * 3)
      seen += images.elements
      return (0..<images.shape[0]).map { Int32(first + $0) }
    }

    func codebookVectors(_ tokens: [Int32]) -> Tensor {
      Tensor(tokens.map { Float($0) }, shape: [tokens.count, 1])
    }

    func images(from tokens: [Int32]) -> Tensor {
      let size = imageSize * imageSize * 3
      let values = tokens.flatMap { seen[Int($0) * size..<(Int($0) + 1) * size] }
      return Tensor(
        isBlank ? values.map { _ in 0 } : values, shape: [tokens.count, imageSize, imageSize, 3])
    }
  }

  private static let configuration = """
    data: {image_size: 16, workers: 1, mean: [0.4, 0.5, 0.6], std: [0.3, 0.2, 0.25]}
    model: {width: 24, depth: 1, heads: 2, patch_size: 4, layer_scale: null}
    augmentation: {mixup: 0, cutmix: 0, rand_augment: null, erasing: 0}
    training: {steps: 40, global_batch_size: 16, micro_batch_size: 16}
    optimizer: {learning_rate: 3.0e-3, layer_decay: 1}
    """

  @Test func imagesThatTokensKeepAreToldAsTheyAre() throws {
    try withTemporaryFolder { folder in
      let data = folder + "/images.h5"
      _ = try DatasetSynthesis(count: 50, size: 24, seed: 1).write(dataset: data)
      try Self.configuration.write(toFile: folder + "/c.yaml", atomically: true, encoding: .utf8)
      _ = try Finetuning.run(
        RunRequest(
          configuration: folder + "/c.yaml", directory: folder + "/run", resume: .never,
          overrides: ["data.path=\(data)"]), communicator: Communicator())

      func report(
        _ tokenizer: Memory, resize: Int? = nil
      ) throws -> TokenizerEvaluation.ClassificationReport {
        var view = FrozenTransformer.View()
        (view.batchSize, view.resize) = (7, resize)
        return try TokenizerEvaluation.classify(
          TokenizerEvaluation.ClassificationRequest(
            tokenizer: "", classifier: folder + "/run", averaged: false, dataset: data, view: view),
          tokenizer: tokenizer, communicator: Communicator())
      }
      // Also at a size that the classifier was not trained at.
      for size in [16, 24] {
        let kept = try report(Memory(imageSize: size))
        #expect(kept.originals.images == 50 && kept.reconstructions.images == 50)
        #expect(kept.originals.top1 > 0.15 && abs(kept.originals.loss - log(10)) > 0.02)
        #expect(kept.reconstructions.top1 == kept.originals.top1)
        #expect(abs(kept.reconstructions.loss - kept.originals.loss) < 1e-4 * kept.originals.loss)
        #expect(kept.psnr > 100)
        #expect(abs(kept.usage.perplexity - 50) < 1e-3 && kept.usage.usedShare == 50 / Float(1 << 20))
        let blank = try report(Memory(imageSize: size, isBlank: true))
        #expect(blank.originals == kept.originals)
        #expect(abs(blank.reconstructions.loss - kept.originals.loss) > 0.02)
        #expect(blank.psnr < 20)
      }
      // Images are resized for the tokenizer's size, be the classifier's larger or smaller.
      #expect(try report(Memory(imageSize: 8), resize: 10).originals.images == 50)
      let error = #expect(throws: RunError.self) { try report(Memory(imageSize: 24), resize: 20) }
      #expect(error?.description.contains("less than the 24 pixels") ?? false)
    }
  }
}
