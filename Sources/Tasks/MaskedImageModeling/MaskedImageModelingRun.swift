import Communication
import Configuration
import Datasets
import Logging
import Models
import Terminal
import Tokenizers
import Trainer

/// `peco pretrain`.
public enum Pretraining {
  /// Pretrains a vision transformer as a request asks. Collective.
  public static func run(_ request: RunRequest, communicator: Communicator) throws -> TrainingLoop.Outcome {
    let setup = try RunSetup<PretrainConfiguration>(request, communicator: communicator)
    let configuration = setup.configuration
    let data = configuration.shared.data
    var samples = SamplePipeline(
      seed: configuration.shared.seed, augmentation: data.augmentation, image: data.imagePreprocessing,
      mask: try communicator.agree { try configuration.maskGenerator() })

    guard configuration.target.kind == .tokens else {
      let task = try communicator.agree { try MaskedImageModelingTask(predictingPixels: configuration) }
      return try setup.train(task, samples: samples, communicator: communicator)
    }
    let source: TokenSource
    let vocabulary: Int
    let inputs: [RunInput]
    var tokenFile: TokenFile?
    switch configuration.tokens.source {
    case .file(let path):
      let file = try communicator.agree { try namingKeys { try TokenFile(opening: path) } }
      source = .file
      vocabulary = file.header.codebookSize
      inputs = [
        .tokenizer(checksum: file.header.tokenizerChecksum), .tokens(checksum: file.checksum, path: path),
      ]
      tokenFile = file
    case .tokenizer(let path):
      let tokenizer = try TrainedTokenizer(
        path: path, size: .tokens(configuration.grid), communicator: communicator
      ) { setup.logger.warning("\($0)") }
      let side = tokenizer.model.imageSize
      if let wanted = configuration.tokens.imageSize, wanted != side {
        throw RunError(
          "tokens.image_size is \(wanted), but \(tokenizer.path) has one token for \(tokenizer.model.patchSize)² pixels "
            + "and the transformer has \(configuration.grid)² patches: it must be \(side)")
      }
      samples.tokenizerImage = .tokenizer(size: side, interpolation: configuration.tokens.interpolation)
      source = .tokenizer(tokenizer.model)
      vocabulary = tokenizer.model.vocabulary
      inputs = [.tokenizer(checksum: tokenizer.checksum, path: path)]
      setup.logger.notice("tokens from \(tokenizer.path), shown images of \(side)²")
    }
    let task = try communicator.agree {
      try MaskedImageModelingTask(configuration, tokens: source, vocabulary: vocabulary)
    }
    return try setup.train(
      task, samples: samples, tokens: tokenFile, inputs: inputs, communicator: communicator)
  }
}

extension RunInput {
  /// What checkpoints call the tokenizer.
  static let tokenizer = "tokenizer"
  /// What checkpoints call a file of its tokens.
  static let tokens = "tokens"

  /// The tokenizer whose tokens are predicted; nil for a path where they come from a file.
  fileprivate static func tokenizer(checksum: UInt64, path: String? = nil) -> RunInput {
    RunInput(
      tokenizer, checksum: checksum, path: path,
      difference: "on the tokens of another tokenizer than the present one: its targets would change; "
        + "give the tokenizer it began with (by its checkpoint, if its run went on since)")
  }

  /// The file that tokens come from, where they are not computed on the fly.
  fileprivate static func tokens(checksum: UInt64, path: String) -> RunInput {
    RunInput(
      tokens, checksum: checksum, path: path,
      difference: "on another token file than tokens.file is now: its targets would change; give the file it "
        + "began with",
      followsImages: true)
  }
}
