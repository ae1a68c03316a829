import Configuration
import Datasets
import Layers
import Models

/// The configuration of `peco finetune`: classification, from pretrained weights or from nothing (PeCo, section 4;
/// BEiT, section 2.6 and its appendix).
public struct FinetuneConfiguration: RunConfiguration {
  /// `model.*`: the vision transformer.
  public struct Model: Sendable, Equatable {
    /// Which of queries, keys and values have a bias.
    public typealias Bias = Attention.Bias

    /// The checkpoint to start from; nil to start from nothing.
    public var weights: String?
    public var size = ViTSize.base
    /// These are nil where the weights say it, or the size.
    public var explicitWidth: Int?
    public var explicitDepth: Int?
    public var explicitHeads: Int?
    public var explicitMLPRatio: Double?
    public var explicitPatchSize: Int?
    public var explicitNormEpsilon: Double?
    public var explicitPositions: PositionKind?
    public var bias = Bias.queryValue
    /// First value of layer scale, where weights do not have theirs; nil leaves it out.
    public var layerScale: Double? = 0.1
    /// Rate of stochastic depth in the last block.
    public var dropPath = 0.1
    /// What the class is read from.
    public var pooling = ClassificationModel.Pooling.mean
  }

  /// `augmentation.*`: what is done to images and labels beside crop and flip.
  public struct Changes: Sendable, Equatable {
    /// Parameters of the beta distributions; 0 leaves the one or the other out.
    public var mixup = 0.8
    public var cutmix = 1.0
    /// How often a pair of images is mixed.
    public var mixProbability = 1.0
    /// How often CutMix is what mixes it.
    public var switchProbability = 0.5
    public var labelSmoothing = 0.1
    /// timm's writing of RandAugment; nil for none.
    public var randAugment: String? = "rand-m9-mstd0.5-inc1"
    /// How often a rectangle is erased.
    public var erasing = 0.25
  }

  /// `evaluation.*`: the images that are classified meanwhile.
  public struct Evaluation: Sendable, Equatable {
    /// The dataset; nil for none.
    public var path: String?
    /// Passes over the training data from one evaluation to the next.
    public var everyEpochs = 1.0
    /// Length to which the shorter side is resized before the middle is cut out; nil for 256/224 of the image's side.
    public var resize: Int?
  }

  public var shared: SharedConfiguration
  public var model = Model()
  public var changes = Changes()
  public var evaluation = Evaluation()
  /// Part of the labels that is used.
  public var labelsShare = 1.0
  /// What each block's learning rate is multiplied by to give that of the block below; 1 where nothing was pretrained.
  public var layerDecay = 0.65
  /// Share of a weight's moving average that a step keeps; nil for no averages.
  public var averageDecay: Double?

  /// The papers' settings of what every run has.
  public static var sharedDefaults: SharedConfiguration {
    var defaults = SharedConfiguration.transformer
    defaults.data.colorJitter = 0
    defaults.training.globalBatchSize = 1024
    defaults.optimizer.learningRate = 4e-3
    defaults.optimizer.minimumLearningRate = 1e-6
    defaults.optimizer.warmupLearningRate = 1e-6
    defaults.optimizer.clipGradientNorm = nil
    return defaults
  }

  public init(_ reader: ConfigurationReader) { self.init(reader, startingFrom: nil) }

  /// Asks the reader for every key; what is not given is as the card of the weights to start from has it.
  init(_ reader: ConfigurationReader, startingFrom card: ModelCard?) {
    var defaults = Self.sharedDefaults
    if let normalization = card?.preprocessing.normalization {
      defaults.data.mean = normalization.mean
      defaults.data.standardDeviation = normalization.standardDeviation
    }
    shared = SharedConfiguration(reader, defaults: defaults)
    labelsShare = reader.value("data.labels_share", .double(.between(1e-6, 1)), default: labelsShare)
    readModel(reader, card?.architecture)
    layerDecay = reader.value(
      "optimizer.layer_decay", .double(.between(0.01, 1)), default: model.weights == nil ? 1 : layerDecay)
    readChanges(reader)
    averageDecay = reader.optional("ema.decay", .double(.from(0, below: 1)))
    evaluation.path = reader.optional("evaluation.path", .text("the path of an image dataset"))
    evaluation.everyEpochs = reader.value(
      "evaluation.every_epochs", .double(.epochs()), default: evaluation.everyEpochs)
    evaluation.resize = reader.optional("evaluation.resize", .int(.between(8, 8192)))
    reader.require(
      evaluation.resize.map { $0 >= shared.data.imageSize } ?? true, "evaluation.resize",
      "found \(evaluation.resize ?? 0), less than data.image_size, which is \(shared.data.imageSize)")
    requireEffects(reader)
  }

  private func requireEffects(_ reader: ConfigurationReader) {
    let (mixup, cutmix) = (changes.mixup > 0, changes.cutmix > 0)
    reader.requireEffect(
      of: ["evaluation.every_epochs", "evaluation.resize"], evaluation.path != nil, needed: "evaluation.path")
    // Weights bring their own, or have none.
    reader.requireEffect(
      of: ["model.layer_scale"], model.weights == nil, needed: "a start without model.weights")
    reader.requireEffect(
      of: ["augmentation.mix_probability"], mixup || cutmix, needed: "augmentation.mixup or cutmix above 0")
    reader.requireEffect(
      of: ["augmentation.switch_probability"], mixup && cutmix,
      needed: "augmentation.mixup and cutmix above 0")
    reader.requireEffect(
      of: ["augmentation.mixup", "augmentation.cutmix", "augmentation.switch_probability"],
      changes.mixProbability > 0, needed: "augmentation.mix_probability above 0")
    reader.requireEffect(
      of: ["augmentation.mixup"], !cutmix || changes.switchProbability < 1,
      needed: "augmentation.switch_probability below 1")
    reader.requireEffect(
      of: ["augmentation.cutmix"], !mixup || changes.switchProbability > 0,
      needed: "augmentation.switch_probability above 0")
    TransformerDimensions.requireEffectOfSize(reader)
    TransformerDimensions.requireEffectOfDropPath(reader, depth: architecture.depth)
  }

  private mutating func readModel(_ reader: ConfigurationReader, _ known: ModelCard.Architecture?) {
    model.weights = reader.optional("model.weights", .text("the path of a transformer's checkpoint or run"))
    model.size = reader.value("model.size", .choice(), default: model.size)
    model.explicitWidth = reader.optional("model.width", .int(.between(1, 65536)), known: known?.width)
    model.explicitDepth = reader.optional("model.depth", .int(.between(1, 1000)), known: known?.depth)
    model.explicitHeads = reader.optional("model.heads", .int(.between(1, 1024)), known: known?.heads)
    model.explicitMLPRatio = reader.optional(
      "model.mlp_ratio", .double(.between(0.1, 64)), known: known?.mlpRatio)
    model.explicitPatchSize = reader.optional(
      "model.patch_size", .int(.between(1, 256)), known: known?.patchSize)
    model.explicitNormEpsilon = reader.optional(
      "model.norm_epsilon", .double(.above(0)), known: known?.normEpsilon)
    model.explicitPositions = reader.optional(
      "model.positions", .choice(), known: known?.positions.first)
    model.bias = reader.value("model.qkv_bias", .choice(), default: known?.qkvBias ?? model.bias)
    let layerScale = known?.hasLayerScale == false ? nil : model.layerScale
    model.layerScale = reader.optional("model.layer_scale", .double(.above(0)), default: layerScale)
    // What the weights have is not left out.
    if known != nil { model.layerScale = model.layerScale ?? layerScale }
    model.dropPath = reader.value("model.drop_path", .double(.from(0, below: 1)), default: model.dropPath)
    model.pooling = reader.value("model.pooling", .choice(), default: model.pooling)
    let architecture = architecture
    // The weights say what is not said here.
    let isOpen = model.weights != nil && (model.explicitWidth == nil || model.explicitHeads == nil)
    reader.require(
      isOpen || architecture.width % architecture.heads == 0, "model.heads",
      "a width of \(architecture.width) cannot be divided among \(architecture.heads) heads")
    reader.require(
      (model.weights != nil && model.explicitPatchSize == nil)
        || shared.data.imageSize % architecture.patchSize == 0, "data.image_size",
      "found \(shared.data.imageSize), expected a multiple of the patch size, which is "
        + "\(architecture.patchSize)")
  }

  private mutating func readChanges(_ reader: ConfigurationReader) {
    let part = ConfigurationFormat<Double>.double(.between(0, 1))
    changes.mixup = reader.value("augmentation.mixup", .double(.atLeast(0)), default: changes.mixup)
    changes.cutmix = reader.value("augmentation.cutmix", .double(.atLeast(0)), default: changes.cutmix)
    changes.mixProbability = reader.value(
      "augmentation.mix_probability", part, default: changes.mixProbability)
    changes.switchProbability = reader.value(
      "augmentation.switch_probability", part, default: changes.switchProbability)
    changes.randAugment = reader.optional(
      "augmentation.rand_augment", .text(RandAugment.expectedText), default: changes.randAugment)
    reader.require(
      changes.randAugment.map { RandAugment($0) != nil } ?? true, "augmentation.rand_augment",
      "found '\(changes.randAugment ?? "")', expected \(RandAugment.expectedText)")
    changes.erasing = reader.value("augmentation.erasing", part, default: changes.erasing)
    changes.labelSmoothing = reader.value(
      "augmentation.label_smoothing", .double(.from(0, below: 1)), default: changes.labelSmoothing)
  }

  /// The vision transformer that the configuration describes.
  public var architecture: VisionTransformerConfiguration {
    var result = VisionTransformerConfiguration()
    result.imageSize = shared.data.imageSize
    result.patchSize = model.explicitPatchSize ?? 16
    result.width = model.explicitWidth ?? model.size.width
    result.depth = model.explicitDepth ?? model.size.depth
    result.heads = model.explicitHeads ?? model.size.heads
    result.mlpRatio = model.explicitMLPRatio.map { Float($0) } ?? 4
    result.layerScale = model.layerScale.map { Float($0) }
    result.dropPath = Float(model.dropPath)
    result.normEpsilon = model.explicitNormEpsilon.map { Float($0) } ?? result.normEpsilon
    result.positions = (model.explicitPositions ?? .sharedRelative).positions
    result.qkvBias = model.bias
    return result
  }

  /// How images are mixed; nil where they are not.
  var mixup: Mixup? {
    let mixup = Mixup(
      mixupAlpha: changes.mixup, cutmixAlpha: changes.cutmix, probability: Float(changes.mixProbability),
      switchProbability: Float(changes.switchProbability), seed: shared.seed)
    return mixup.isActive ? mixup : nil
  }

  /// How images are seen in training.
  var trainingAugmentation: Augmentation {
    var result = shared.data.augmentation
    result.randAugment = changes.randAugment.flatMap { RandAugment($0) }
    result.erasing = changes.erasing > 0 ? RandomErasing(probability: Float(changes.erasing)) : nil
    return result
  }

  /// How images are seen when they are classified.
  var evaluationAugmentation: Augmentation {
    .evaluation(shortSide: evaluation.resize, size: shared.data.imageSize)
  }

  // Mixed images come in pairs.
  public var microBatchMultiple: Int { mixup == nil ? 1 : 2 }

  public func subset(of dataset: ImageDataset) throws -> [Int]? {
    try dataset.requireLabels()
    return labelsShare < 1 ? dataset.labeledShare(labelsShare, seed: shared.seed) : nil
  }
}
