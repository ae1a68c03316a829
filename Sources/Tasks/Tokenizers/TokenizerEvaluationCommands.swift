import ArgumentParser
import Communication
import Evaluation
import Layers
import TaskSupport
import Terminal

/// `peco tokenizer probe`: the class information in tokens.
struct TokenizerProbeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "probe",
    abstract: "Classifies images by their tokens with a linear classifier; data-parallel under mpirun.",
    discussion: """
      An image's features are the codebook entries that the decoder reads. The classifier is that of `peco \
      probe`.

      Example:
        peco tokenizer probe --tokenizer runs/quickstart/tokenizer \\
          --data train.h5 --evaluation test.h5
      """)

  @Option(
    help: ArgumentHelp("The tokenizer's checkpoint, or its run's directory.", valueName: "checkpoint"),
    completion: .hdf5)
  var tokenizer: String
  @Option(help: ArgumentHelp("The dataset to learn from.", valueName: "train.h5"), completion: .hdf5)
  var data: String
  @Option(help: ArgumentHelp("The dataset to classify.", valueName: "test.h5"), completion: .hdf5)
  var evaluation: String
  @Option(
    help: ArgumentHelp(
      "mean: the mean of an image's entries; grid: all of them, side by side.", valueName: "pooling"))
  var pool = TokenizerEvaluation.Pooling.mean
  @Option(help: ArgumentHelp("Decides which images are held out.", valueName: "seed"))
  var seed: UInt64 = 0
  @Option(help: ArgumentHelp("Images a rank computes at a time.", valueName: "n"))
  var batchSize = 32
  @Option(help: ArgumentHelp("Threads of each rank that decode.", valueName: "n"))
  var workers = 2
  @Flag(help: "Print one JSON object in place of text.")
  var json = false

  func validate() throws {
    for (name, value) in [("batch-size", batchSize), ("workers", workers)] where !(1...8192).contains(value) {
      throw ValidationError("--\(name) is \(value), must be 1 to 8192")
    }
  }

  func run() throws {
    let request = TokenizerEvaluation.ProbeRequest(
      tokenizer: tokenizer, data: data, evaluation: evaluation, pooling: pool, seed: seed,
      batchSize: batchSize, workers: workers)
    onAllRanks { communicator in
      let (score, penalty) = try TokenizerEvaluation.probe(request, communicator: communicator)
      guard communicator.isRoot else { return 0 }
      if json {
        var object = JSONObject()
        object.append(score, as: "evaluation")
        object.append("images", score.images)
        object.append("penalty", penalty)
        print(object.text)
      } else {
        print("\(evaluation): \(score.shares), penalty \(penalty), over \(score.images) images")
      }
      return 0
    }
  }
}

/// `peco tokenizer classify`: what a classifier makes of reconstructions.
struct TokenizerClassifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "classify",
    abstract:
      "Classifies images and their reconstructions; data-parallel under mpirun.",
    discussion: """
      The classifier sees the same crop of both, at the tokenizer's size.

      Example:
        peco tokenizer classify --tokenizer runs/tokenizer \\
          --classifier runs/finetune --data test.h5
      """)

  @Option(
    help: ArgumentHelp("The tokenizer's checkpoint, or its run's directory.", valueName: "checkpoint"),
    completion: .hdf5)
  var tokenizer: String
  @Option(
    help: ArgumentHelp("A checkpoint of `peco finetune`, or its run's directory.", valueName: "checkpoint"),
    completion: .hdf5)
  var classifier: String
  @OptionGroup var options: EvaluationOptions

  func validate() throws {
    guard options.view.imageSize == nil else {
      throw ValidationError("--image-size is the tokenizer's here, and cannot be given")
    }
  }

  func run() throws {
    let request = TokenizerEvaluation.ClassificationRequest(
      tokenizer: tokenizer, classifier: classifier, averaged: options.ema,
      dataset: options.data, view: options.view.settings)
    onAllRanks { communicator in
      let report = try TokenizerEvaluation.classify(request, communicator: communicator)
      guard communicator.isRoot else { return 0 }
      let both = [("original", report.originals), ("reconstruction", report.reconstructions)]
      if options.json {
        var object = JSONObject()
        object.append("images", report.originals.images)
        for (name, score) in both {
          object.append(score, as: name)
          object.append("\(name)_loss", score.loss)
        }
        object.append("psnr", report.psnr)
        object.append("codebook_perplexity", Double(report.usage.perplexity))
        object.append("codebook_usage", Double(report.usage.usedShare))
        print(object.text)
      } else {
        for (name, score) in both {
          print("\(name)s: \(score.shares), loss \(fixed(score.loss, 4))")
        }
        print(
          "PSNR \(fixed(report.psnr, 2)) dB, \(percent(Double(report.usage.usedShare))) of the codebook used, perplexity "
            + "\(fixed(Double(report.usage.perplexity), 1)), over \(report.originals.images) images")
      }
      return 0
    }
  }
}

extension TokenizerEvaluation.Pooling: ExpressibleByArgument {}
