import ArgumentParser
import Communication
import Foundation
import Imaging
import TaskSupport
import Trainer

/// `peco tokenizer`: the VQ-VAE, or the discrete VAE, that turns images into tokens.
struct TokenizerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tokenizer",
    abstract: "Trains tokenizers, encodes datasets into tokens, and evaluates reconstructions.",
    discussion: """
      A tokenizer turns an image into tokens, a codebook entry for each patch. Train one, look at its \
      reconstructions, and give it to `peco pretrain`.

      Example:
        peco tokenizer train --config configs/quickstart/tokenizer.yaml \\
          --run runs/quickstart/tokenizer
        peco tokenizer reconstruct --tokenizer runs/quickstart/tokenizer \\
          --data runs/quickstart/images.h5 --output reconstructions.png
      """,
    subcommands: [
      Train.self, Encode.self, Reconstruct.self, Import.self, TokenizerProbeCommand.self,
      TokenizerClassifyCommand.self,
    ])

  struct Train: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Trains a VQ-VAE with a perceptual loss, or a discrete VAE; data-parallel under mpirun.",
      discussion: """
        `model.kind` in the configuration says which: vqvae (PeCo) or dvae (BEiT). The same command again \
        resumes from the newest checkpoint.

        Example:
          launch/mpirun -n 2 -- peco tokenizer train \\
            --config configs/quickstart/tokenizer.yaml --run runs/tokenizer
        """)

    @OptionGroup var options: RunOptions

    func run() throws {
      trainOnAllRanks { try TokenizerTraining.run(options.request, communicator: $0) }
    }
  }

  struct Encode: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Writes the tokens of every image of a dataset; data-parallel under mpirun.",
      discussion: """
        `peco pretrain` reads them (tokens.file), so that the tokenizer need not run in every step.

        Example:
          peco tokenizer encode --tokenizer runs/quickstart/tokenizer \\
            --data runs/quickstart/images.h5 --output tokens.h5
        """)

    @OptionGroup var options: TokenizerOptions
    @Option(help: ArgumentHelp("Where to write the tokens.", valueName: "tokens.h5"), completion: .hdf5)
    var output: String
    @Option(
      help: ArgumentHelp(
        "How many randomly cropped and flipped views of each image to encode, up to 64; 0: the center crop only.",
        valueName: "n"))
    var views = 0
    @Option(
      help: ArgumentHelp(
        "Smallest share of an image's area that a view's crop takes, up to 1.", valueName: "share"))
    var cropScale = 0.08
    @Option(help: ArgumentHelp("Decides the views' crops.", valueName: "seed"))
    var seed: UInt64 = 0
    @Option(
      help: ArgumentHelp(
        """
        Side of the images that the tokenizer is shown; by default as in its training. `peco pretrain` takes tokens of \
        as many rows and columns as its transformer has patches.
        """, valueName: "pixels"))
    var imageSize: Int?
    @Option(
      help: ArgumentHelp(
        "How crops are resized; BEiT's are by lanczos for DALL-E's tokenizer.", valueName: "filter"))
    var interpolation = ResampleFilter.bicubic
    @Option(help: ArgumentHelp("Images a rank encodes at a time.", valueName: "n"))
    var batchSize = 16
    @OptionGroup var products: PrecisionOptions

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
        tokenizer: options.tokenizer, dataset: options.data, output: output, views: views,
        leastCropScale: cropScale,
        seed: seed, batchSize: batchSize, imageSize: imageSize, interpolation: interpolation,
        precision: products.precision)
      onAllRanks {
        try TokenEncoding.run(request, communicator: $0)
        return 0
      }
    }
  }

  struct Reconstruct: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Draws images above their reconstructions, and prints the PSNR.",
      discussion: """
        The line it prints has the PSNR in dB, the perplexity of the tokens, and the share of the codebook \
        that is used.

        Example:
          peco tokenizer reconstruct --tokenizer runs/quickstart/tokenizer \\
            --data runs/quickstart/images.h5 --output reconstructions.png
        """)

    @OptionGroup var options: TokenizerOptions
    @Option(help: ArgumentHelp("Where to write the image.", valueName: "grid.png"), completion: .png)
    var output: String
    @Option(help: ArgumentHelp("How many images to show.", valueName: "n"))
    var count = 16
    @Option(help: ArgumentHelp("How many images to measure PSNR and codebook usage on.", valueName: "n"))
    var measure = 256

    func validate() throws {
      guard count > 0, measure > 0 else { throw ValidationError("--count and --measure must be at least 1") }
    }

    func run() throws {
      onAllRanks { communicator in
        try ComputeThreads.configure(requested: nil, communicator: communicator)
        guard communicator.isRoot else { return 0 }
        let report = try Reconstruction.run(
          tokenizer: options.tokenizer, dataset: options.data, output: output, count: count, measure: measure)
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
      discussion: """
        docs/configuration.md says how the published files become safetensors.

        Example:
          peco tokenizer import --encoder encoder.safetensors \\
            --decoder decoder.safetensors --output dalle.h5
        """)

    @Option(
      help: ArgumentHelp("The encoder's weights.", valueName: "encoder.safetensors"), completion: .safetensors
    )
    var encoder: String
    @Option(
      help: ArgumentHelp("The decoder's weights.", valueName: "decoder.safetensors"), completion: .safetensors
    )
    var decoder: String
    @Option(
      help: ArgumentHelp("Where to write the checkpoint.", valueName: "checkpoint.h5"), completion: .hdf5)
    var output: String
    @Option(
      help: ArgumentHelp(
        "Side of the images that `encode` shows it; 112 makes BEiT's 14 × 14 tokens.", valueName: "pixels"))
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
