import Communication
import Configuration
import Datasets
import Evaluation
import Interoperability
import Logging
import Terminal
import Trainer

/// `peco finetune`.
public enum Finetuning {
  /// Trains a classifier as a request asks. Collective.
  public static func run(_ request: RunRequest, communicator: Communicator) throws -> TrainingLoop.Outcome {
    let pretrained = try pretrainedCard(request, communicator: communicator)
    let setup = try RunSetup(request, communicator: communicator) {
      FinetuneConfiguration($0, startingFrom: pretrained)
    }
    let configuration = setup.configuration
    let data = configuration.shared.data
    let classes = setup.dataset.classes
    if let warning = setup.dataset.warningOfOneClass { setup.logger.warning("\(warning)") }
    try requireEvenMicroBatches(configuration, setup.plan)
    let samples = SamplePipeline(
      seed: configuration.shared.seed, augmentation: configuration.trainingAugmentation,
      image: data.imagePreprocessing)
    let shown = try configuration.evaluation.path.map { try ImageDataset.open($0, on: communicator) }
    let evaluation = try communicator.agree {
      try shown.map {
        try evaluationData(configuration, $0, classes: classes, batchSize: setup.plan.microBatchSize)
      }
    }

    let isResumed = try communicator.allReduce(.max, Int64(setup.checkpoint == nil ? 0 : 1)) > 0
    var weights: TransformerWeights?
    if !isResumed, let path = configuration.model.weights {
      weights = try TransformerWeights(opening: path, communicator: communicator) {
        setup.logger.warning("\($0)")
      }
    }
    let task = try communicator.agree {
      try ClassificationTask(configuration, classes: classes, evaluation: evaluation) { parameters in
        guard let weights, let file = weights.file else { return }
        let fresh = try PretrainedWeights.fill(
          parameters, from: file, of: weights.card.architecture.transformer,
          target: configuration.architecture)
        let others = fresh.isEmpty ? "" : ", but for \(fresh.joined(separator: ", "))"
        setup.logger.notice("weights from \(weights.path)\(others)")
      }
    }
    task.evaluationSteps = ClassificationTask.EvaluationSteps(
      every: configuration.evaluation.everyEpochs * Double(setup.plan.stepsPerEpoch), last: setup.plan.steps)
    return try setup.train(task, samples: samples, communicator: communicator)
  }

  /// What the weights to start from are; nil where there are none. Collective; rank 0 looks.
  ///
  /// A run that goes on has weights of its own: its checkpoint says the same.
  ///
  /// - Throws: `RunError` where the configuration says something else.
  private static func pretrainedCard(
    _ request: RunRequest, communicator: Communicator
  ) throws -> ModelCard? {
    try communicator.readOnRoot {
      let reader = try ConfigurationReader(file: request.configuration, overrides: request.overrides)
      let configuration = FinetuneConfiguration(reader)
      try reader.finish()
      guard let path = configuration.model.weights else { return nil }
      let model: PretrainedModel
      if let own = try RunDirectory(request.directory, keep: 1).checkpoint(
        request.resume, report: { _ in }),
        case let header = try Checkpoint.header(of: own), header.task == ClassificationTask.task,
        let card = header.card?.transformer
      {
        model = PretrainedModel(path: own, card: card)
      } else {
        let (file, card) = try TransformerWeights.open(path, averaged: false)
        model = PretrainedModel(path: file.path, card: card)
      }
      try model.require(agreementOf: configuration, isGiven: reader.isGiven)
      return model.card
    }
  }

  private static func requireEvenMicroBatches(
    _ configuration: FinetuneConfiguration, _ plan: RunPlan
  ) throws {
    guard configuration.mixup == nil || plan.microBatchSize % 2 == 0 else {
      throw RunError(
        "mixup and CutMix mix images in pairs, but a rank's share of training.global_batch_size cannot be cut into "
          + "micro-batches of even size up to training.micro_batch_size; change one of the two, or set "
          + "augmentation.mix_probability to 0")
    }
  }

  private static func evaluationData(
    _ configuration: FinetuneConfiguration, _ dataset: ImageDataset, classes: [String], batchSize: Int
  ) throws -> ClassificationData {
    try dataset.requireLabels()
    let data = configuration.shared.data
    try ClassAgreement.require(dataset.classes, of: dataset.path, as: classes, of: data.path)
    return ClassificationData(
      dataset: dataset,
      samples: SamplePipeline(
        seed: configuration.shared.seed, augmentation: configuration.evaluationAugmentation,
        image: data.imagePreprocessing),
      batchSize: batchSize, options: data.loaderOptions)
  }
}
