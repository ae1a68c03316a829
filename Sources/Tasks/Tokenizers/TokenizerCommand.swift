import ArgumentParser
import DVAETraining
import Foundation
import Imaging
import TaskSupport
import Trainer

/// `peco tokenizer`: the VQ-VAE, or the discrete VAE, that turns images into tokens.
struct TokenizerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tokenizer",
    abstract: "Trains tokenizers, encodes datasets into tokens, and evaluates reconstructions.",
    subcommands: [
      Train.self, Encode.self, Reconstruct.self, Import.self, TokenizerProbeCommand.self,
      TokenizerClassifyCommand.self,
    ])

  struct Train: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Trains a VQ-VAE with a perceptual loss, or a discrete VAE; data-parallel under mpirun.")

    @OptionGroup var options: RunOptions

    func run() throws {
      onAllRanks { try TokenizerTraining.run(options.request, communicator: $0).exitCode }
    }
  }

  struct Encode: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Writes the tokens of every image of a dataset; data-parallel under mpirun.")

    @Option(help: ArgumentHelp("The tokenizer's checkpoint, or its run directory.", valueName: "checkpoint"))
    var tokenizer: String
    @Option(help: ArgumentHelp("The dataset.", valueName: "file.h5"))
    var data: String
    @Option(help: ArgumentHelp("Where to write the tokens.", valueName: "tokens.h5"))
    var output: String
    @Option(
      help: "How many randomly cropped and flipped views of each image to encode; 0: the center crop only.")
    var views = 0
    @Option(help: "Smallest share of an image's area that a view's crop takes.")
    var cropScale = 0.08
    @Option(help: "Seed of the views' crops.")
    var seed: UInt64 = 0
    @Option(
      help: """
        Side of the images that the tokenizer is shown; by default as in its training. `peco pretrain` takes tokens of \
        as many rows and columns as its transformer has patches.
        """)
    var imageSize: Int?
    @Option(help: "How crops are resized: box, bilinear, bicubic or lanczos (BEiT's for DALL-E's tokenizer).")
    var interpolation = ResampleFilter.bicubic
    @Option(help: "Images a rank encodes at a time.")
    var batchSize = 16

    func validate() throws {
      guard views >= 0, views <= 64 else { throw ValidationError("--views must be 0 to 64") }
      guard batchSize > 0 else { throw ValidationError("--batch-size must be at least 1") }
      guard (1...8192).contains(imageSize ?? 1) else {
        throw ValidationError("--image-size must be 1 to 8192")
      }
      guard cropScale > 0, cropScale <= 1 else { throw ValidationError("--crop-scale must lie in (0, 1]") }
    }

    func run() throws {
      let request = TokenEncoding.Request(
        tokenizer: tokenizer, dataset: data, output: output, views: views, leastCropScale: cropScale,
        seed: seed, batchSize: batchSize, imageSize: imageSize, interpolation: interpolation)
      onAllRanks {
        try TokenEncoding.run(request, communicator: $0)
        return 0
      }
    }
  }

  struct Reconstruct: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Draws images above their reconstructions, and prints the PSNR.")

    @Option(help: ArgumentHelp("The tokenizer's checkpoint, or its run directory.", valueName: "checkpoint"))
    var tokenizer: String
    @Option(help: ArgumentHelp("The dataset.", valueName: "file.h5"))
    var data: String
    @Option(help: ArgumentHelp("Where to write the image.", valueName: "grid.png"))
    var output: String
    @Option(help: "How many images to show.")
    var count = 16
    @Option(help: "Number of images for the PSNR and the codebook usage.")
    var measure = 256

    func validate() throws {
      guard count > 0, measure > 0 else { throw ValidationError("--count and --measure must be at least 1") }
    }

    func run() throws {
      onAllRanks { communicator in
        try ComputeThreads.configure(requested: nil, communicator: communicator)
        guard communicator.isRoot else { return 0 }
        let report = try Reconstruction.run(
          tokenizer: tokenizer, dataset: data, output: output, count: count, measure: measure)
        print(
          String(
            format: "%@: PSNR %.2f dB, perplexity %.1f, %.1f %% of the codebook used, over %d images", output,
            report.psnr, report.perplexity, 100 * report.usage, report.images))
        return 0
      }
    }
  }

  struct Import: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Makes a tokenizer's checkpoint from the published weights of DALL-E's discrete VAE.",
      discussion: "docs/configuration.md says how the published files become safetensors.")

    @Option(help: ArgumentHelp("The encoder.", valueName: "encoder.safetensors"))
    var encoder: String
    @Option(help: ArgumentHelp("The decoder.", valueName: "decoder.safetensors"))
    var decoder: String
    @Option(help: ArgumentHelp("Where to write the checkpoint.", valueName: "checkpoint.h5"))
    var output: String
    @Option(help: "Side of the images that `encode` shows it; 112 makes BEiT's 14 × 14 tokens.")
    var imageSize = 112

    func run() throws {
      onAllRanks { communicator in
        guard communicator.isRoot else { return 0 }
        let report = try TokenizerImport.run(
          encoder: encoder, decoder: decoder, output: output, imageSize: imageSize)
        print(
          "\(output): \(report.vocabulary) tokens of \(report.patchSize) × \(report.patchSize) pixels, "
            + "a grid of \(report.gridSize) × \(report.gridSize)")
        return 0
      }
    }
  }
}

extension ResampleFilter: ExpressibleByArgument {}
