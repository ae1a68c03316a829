import Classification
import Configuration
import Foundation
import MaskedImageModeling
import MomentumContrastTraining
import Testing
import Tokenizers

/// What `--set` gives has an effect, or is refused with the setting that it takes; the same in a file may wait for it.
@Suite struct EffectTests {
  /// A key that changes nothing under some setting.
  struct Case: Sendable, CustomTestStringConvertible {
    /// The key with its value, as for `--set`.
    let override: String
    /// What the file has, a line of YAML for each section.
    let file: [String]
    /// What the key takes, as the message says it.
    let needed: String
    /// What gives it an effect.
    let remedy: String

    init(_ override: String, under file: String..., needs needed: String, as remedy: String) {
      (self.override, self.file, self.needed, self.remedy) = (override, file, needed, remedy)
    }

    var testDescription: String { "\(override) under \(file)" }
    var key: String { String(override.prefix { $0 != "=" }) }
  }

  private static let common = "data: {path: a.h5}\ntraining: {epochs: 1}\n"

  private func check<Configuration: RunConfiguration>(
    _ type: Configuration.Type, _ present: Case, common: String = common
  ) throws {
    let yaml = common + present.file.map { $0 + "\n" }.joined()
    func load(_ overrides: [String]) throws {
      _ = try Configuration.load(yaml: yaml, source: "x", overrides: overrides)
    }
    try load([])
    let error = try #require(throws: ConfigurationError.self) { try load([present.override]) }
    #expect(error.issues.map(\.key) == [present.key])
    #expect("\(error)".contains("has no effect: it takes \(present.needed)"), "\(error)")
    try load([present.override, present.remedy])
  }

  private static let shared = [
    Case(
      "optimizer.minimum_learning_rate=1e-7", under: "optimizer: {schedule: constant}",
      needs: "an optimizer.schedule", as: "optimizer.schedule=cosine"),
    Case(
      "optimizer.warmup_learning_rate=1e-7", needs: "optimizer.warmup_steps",
      as: "optimizer.warmup_epochs=0.5"),
    Case(
      "optimizer.name=adamw", under: "optimizer: {weight_decay: 0}", needs: "optimizer.weight_decay above 0",
      as: "optimizer.weight_decay_end=0.1"),
  ]

  @Test(
    arguments: [
      Case(
        "model.size=tiny", under: "model: {width: 24, depth: 2, heads: 2}", needs: "one of model.width",
        as: "model.depth=null"),
      Case(
        "model.drop_path=0.2", under: "model: {depth: 1}", needs: "a transformer of two blocks",
        as: "model.depth=2"),
      Case(
        "masking.minimum_block=4", under: "masking: {kind: random, ratio: 0.4}",
        needs: "masking.kind blockwise", as: "masking.kind=blockwise"),
      Case(
        "masking.aspect=0.5", under: "masking: {kind: random, ratio: 0.4}", needs: "masking.kind blockwise",
        as: "masking.kind=blockwise"),
      Case("target.normalize=false", needs: "target.kind pixels", as: "target.kind=pixels"),
      Case(
        "tokens.interpolation=lanczos", under: "target: {kind: pixels}", "tokens: {tokenizer: t}",
        needs: "target.kind tokens",
        as: "target.kind=tokens"),
      Case(
        "tokens.tokenizer=t.h5", under: "target: {kind: pixels}", needs: "target.kind tokens",
        as: "target.kind=tokens"),
      Case(
        "tokens.interpolation=lanczos", under: "tokens: {file: t.h5}", needs: "tokens.tokenizer",
        as: "tokens.tokenizer=t"),
      Case(
        "tokens.image_size=112", under: "tokens: {file: t.h5}", needs: "tokens.tokenizer",
        as: "tokens.tokenizer=t"),
      Case(
        "data.crop_scale=[0.5, 1]", under: "tokens: {file: t.h5}", needs: "tokens.tokenizer",
        as: "tokens.tokenizer=t"),
      Case(
        "data.flip=false", under: "tokens: {file: t.h5}", needs: "tokens.tokenizer", as: "tokens.tokenizer=t"),
    ] + shared)
  func whatPretrainingIsTold(_ present: Case) throws {
    let given = present.file.joined()
    try check(
      PretrainConfiguration.self, present,
      common: Self.common + (given.contains("masking:") ? "" : "masking: {ratio: 0.4}\n")
        + (given.contains("tokens:") || given.contains("pixels") ? "" : "tokens: {tokenizer: t}\n"))
  }

  @Test(
    arguments: [
      Case(
        "model.size=tiny", under: "model: {width: 24, depth: 2, heads: 2}", needs: "one of model.width",
        as: "model.heads=null"),
      Case(
        "model.drop_path=0.2", under: "model: {depth: 1}", needs: "a transformer of two blocks",
        as: "model.depth=2"),
      Case(
        "model.layer_scale=0.5", under: "model: {weights: run}", needs: "a start without model.weights",
        as: "model.weights=null"),
      Case(
        "model.layer_scale=null", under: "model: {weights: run}", needs: "a start without model.weights",
        as: "model.weights=null"),
      Case("evaluation.resize=256", needs: "evaluation.path", as: "evaluation.path=b.h5"),
      Case("evaluation.every_epochs=2", needs: "evaluation.path", as: "evaluation.path=b.h5"),
      Case(
        "augmentation.mix_probability=0.5", under: "augmentation: {mixup: 0, cutmix: 0}",
        needs: "augmentation.mixup or cutmix above 0", as: "augmentation.cutmix=1"),
      Case(
        "augmentation.switch_probability=0.3", under: "augmentation: {mixup: 0}",
        needs: "augmentation.mixup and cutmix above 0", as: "augmentation.mixup=1"),
      Case(
        "augmentation.switch_probability=0.3", under: "augmentation: {mix_probability: 0}",
        needs: "augmentation.mix_probability above 0", as: "augmentation.mix_probability=1"),
      Case(
        "augmentation.mixup=0.3", under: "augmentation: {mix_probability: 0}",
        needs: "augmentation.mix_probability above 0", as: "augmentation.mix_probability=1"),
      Case(
        "augmentation.cutmix=0.3", under: "augmentation: {mix_probability: 0}",
        needs: "augmentation.mix_probability above 0", as: "augmentation.mix_probability=1"),
      Case(
        "augmentation.mixup=0.3", under: "augmentation: {switch_probability: 1}",
        needs: "augmentation.switch_probability below 1", as: "augmentation.cutmix=0"),
      Case(
        "augmentation.cutmix=0.3", under: "augmentation: {switch_probability: 0}",
        needs: "augmentation.switch_probability above 0", as: "augmentation.mixup=0"),
    ] + shared)
  func whatFinetuningIsTold(_ present: Case) throws { try check(FinetuneConfiguration.self, present) }

  @Test(
    arguments: [
      Case(
        "model.size=tiny", under: "model: {width: 24, depth: 2, heads: 2}", needs: "one of model.width",
        as: "model.heads=null"),
      Case(
        "views.color_jitter_probability=0.5", under: "data: {path: a.h5, color_jitter: 0}",
        needs: "data.color_jitter above 0", as: "data.color_jitter=0.1"),
      Case(
        "data.color_jitter=0.5", under: "views: {color_jitter_probability: 0}",
        needs: "views.color_jitter_probability above 0", as: "views.color_jitter_probability=1"),
      Case(
        "views.blur_sigma=[1, 2]", under: "views: {blur_probabilities: [0, 0]}",
        needs: "one of views.blur_probabilities above 0", as: "views.blur_probabilities=[0, 1]"),
    ]
      + ["path=b.h5", "queries=5", "bank=5", "neighbors=5", "temperature=1", "crop=1"].map {
        Case(
          "evaluation.\($0)", needs: "evaluation.every_epochs or every_steps", as: "evaluation.every_steps=1")
      } + shared)
  func whatAPerceptualNetworkIsTold(_ present: Case) throws {
    let common = present.file.joined().contains("data:") ? "training: {epochs: 1}\n" : Self.common
    try check(PerceptualConfiguration.self, present, common: common)
  }

  private static let vit = "perceptual: {network: vit, weights: random}"

  @Test(
    arguments: [
      Case(
        "model.attention=false", under: "model: {kind: dvae}", needs: "model.kind vqvae",
        as: "model.kind=vqvae"),
      Case(
        "codebook.revival_threshold=0.1", under: "codebook: {revive_every_steps: 0}",
        needs: "codebook.revive_every_steps above 0", as: "codebook.revive_every_steps=1"),
      Case(
        "codebook.decay=0.9", under: "codebook: {revive_every_steps: 0, learning: gradient}",
        needs: "codebook.learning ema", as: "codebook.learning=ema"),
      Case(
        "dvae.temperature=2", under: "model: {kind: dvae}", "dvae: {temperature_steps: 0}",
        needs: "dvae.temperature_steps above 0", as: "dvae.temperature_steps=1"),
      Case(
        "dvae.temperature_steps=5", under: "model: {kind: dvae}", "dvae: {minimum_temperature: 1}",
        needs: "dvae.minimum_temperature below dvae.temperature", as: "dvae.temperature=2"),
      Case(
        "dvae.kl_steps=5", under: "model: {kind: dvae}", "dvae: {kl_weight: 0}",
        needs: "dvae.kl_weight above 0", as: "dvae.kl_weight=1"),
      Case(
        "loss.perceptual_weight=2", needs: "a perceptual.network",
        as: "perceptual={network: vgg16, weights: random}"),
      Case(
        "training.activation_checkpointing=none", needs: "a perceptual.network with attention",
        as: "perceptual={network: vit, weights: random}"),
      Case(
        "training.activation_checkpointing=none", under: "perceptual: {network: vgg16, weights: random}",
        needs: "a perceptual.network with attention", as: "perceptual={network: vit, weights: random}"),
      Case(
        "perceptual.size=tiny", under: "perceptual: {network: vgg16, weights: random}",
        needs: "perceptual.network vit", as: "perceptual.network=vit"),
      Case(
        "perceptual.heads=2", under: "perceptual: {network: resnet50, weights: random}",
        needs: "perceptual.network vit", as: "perceptual.network=vit"),
      Case(
        "perceptual.patch_size=8", under: "perceptual: {network: vit, weights: run}",
        needs: "perceptual.weights random", as: "perceptual.weights=random"),
      Case(
        "perceptual.size=tiny", under: "perceptual: {network: vit, weights: run}",
        needs: "perceptual.weights random, or a safetensors file", as: "perceptual.weights=a.safetensors"),
      Case(
        "perceptual.size=tiny", under: "perceptual: {network: vit, weights: a.safetensors, heads: 3}",
        needs: "perceptual.weights random, or a safetensors file", as: "perceptual.heads=null"),
      Case(
        "perceptual.comparison=unit_channels", needs: "a perceptual.network",
        as: "perceptual={network: vgg16, weights: random, comparison: unit_channels}"),
      Case(
        "perceptual.patch_size=8", needs: "perceptual.network vit",
        as: vit.replacing("perceptual: ", with: "perceptual=").replacing("}", with: ", patch_size: 8}")),
      Case(
        "adversarial.start_step=9", under: "training: {steps: 9}", "adversarial: {discriminator: patch}",
        needs: "adversarial.start_step below training.steps", as: "training.steps=10"),
      Case(
        "adversarial.weight=1", under: "training: {steps: 9}",
        "adversarial: {discriminator: patch, start_step: 9}",
        needs: "adversarial.start_step below training.steps", as: "adversarial.start_step=8"),
    ]
      + ["taps=[1]", "image_size=112", "comparison=unit_channels", "network=resnet50", "weights=b"].map {
        Case(
          "perceptual.\($0)", under: vit, "loss: {perceptual_weight: 0}",
          needs: "loss.perceptual_weight above 0", as: "loss.perceptual_weight=1")
      }
      + ["weight=1", "start_step=1", "base_width=8", "layers=2", "learning_rate_scale=2"].map {
        Case(
          "adversarial.\($0)", needs: "adversarial.discriminator patch",
          as: "adversarial={discriminator: patch, \($0.replacing("=", with: ": "))}")
      }
      + ["temperature=2", "minimum_temperature=0.5", "temperature_steps=5", "kl_weight=1", "kl_steps=5"].map {
        Case("dvae.\($0)", needs: "model.kind dvae", as: "model.kind=dvae")
      }
      + [
        "learning=gradient", "normalize=true", "decay=0.9", "commitment_weight=1", "revival_threshold=1",
        "revive_every_steps=5",
      ].map {
        Case(
          "codebook.\($0)", under: "model: {kind: dvae}", needs: "model.kind vqvae", as: "model.kind=vqvae")
      } + shared)
  func whatATokenizerIsTold(_ present: Case) throws {
    let common = present.file.joined().contains("training:") ? "data: {path: a.h5}\n" : Self.common
    try check(TokenizerConfiguration.self, present, common: common)
  }
}
