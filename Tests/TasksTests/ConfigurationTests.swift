import Classification
import Configuration
import DVAETraining
import Foundation
import MaskedImageModeling
import Models
import MomentumContrastTraining
import Testing
import TokenizerSupport
import Tokenizers
import Trainer
import VQVAETraining

/// The tasks' configurations, and the files under `configs/`.
@Suite struct ConfigurationTests {
  private static let configs = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("configs").path

  private static var files: [String] {
    (FileManager.default.enumerator(atPath: configs)?.compactMap { $0 as? String } ?? [])
      .filter {
        $0.hasSuffix(".yaml")
          && ($0.contains("tokenizer") || $0.contains("dvae") || $0.contains("pretrain")
            || $0.contains("300e") || $0.contains("perceptual") || $0.contains("finetune"))
      }
      .sorted()
  }

  private func roundTrip<Configuration: RunConfiguration>(_ type: Configuration.Type, _ path: String) throws {
    let (first, yaml) = try Configuration.load(file: path)
    let (second, again) = try Configuration.load(yaml: yaml, source: "resolved")
    #expect(first == second)
    #expect(yaml == again)
  }

  @Test(arguments: files) func everyFileReadsAndSurvivesBeingResolved(_ name: String) throws {
    let path = Self.configs + "/" + name
    if name.contains("tokenizer") || name.contains("dvae") {
      try roundTrip(TokenizerConfiguration.self, path)
    } else if name.contains("moco") || name.contains("perceptual") {
      try roundTrip(PerceptualConfiguration.self, path)
    } else if name.contains("finetune") {
      try roundTrip(FinetuneConfiguration.self, path)
    } else {
      try roundTrip(PretrainConfiguration.self, path)
    }
  }

  @Test func theFilesAreThere() {
    #expect(Self.files.count == 20)
  }

  @Test func thePapersSettings() throws {
    let (base, _) = try PretrainConfiguration.load(file: Self.configs + "/peco_vit_base_300e.yaml")
    #expect(
      base.model.dimensions.width == 768 && base.model.dimensions.depth == 12
        && base.model.dimensions.heads == 12 && base.grid == 14)
    #expect(base.masking.count(of: 196) == 75)
    let schedule = base.shared.optimizer.learningRateSchedule(
      steps: 300 * 625, stepsPerEpoch: 625, globalBatchSize: base.shared.training.globalBatchSize)
    #expect(schedule(6249) == 1.5e-3 && schedule.warmupSteps == 6250 && schedule.end == 1e-5)
    let (huge, _) = try PretrainConfiguration.load(file: Self.configs + "/peco_vit_huge_300e.yaml")
    #expect(
      huge.model.dimensions.width == 1280 && huge.model.dimensions.depth == 32
        && huge.model.dimensions.heads == 16)
    let (tokenizer, _) = try TokenizerConfiguration.load(file: Self.configs + "/peco_tokenizer_imagenet.yaml")
    #expect(tokenizer.settings.codebook.size == 8192 && tokenizer.shared.optimizer.betas == [0.5, 0.95])
    #expect(tokenizer.settings.perceptual.taps == [3, 6, 9, 12])
    let (moco, _) = try PerceptualConfiguration.load(file: Self.configs + "/moco_v3_vit_small_300e.yaml")
    #expect(moco.architecture.width == 384 && moco.architecture.heads == 12)
    #expect(moco.shared.optimizer.peakLearningRate(globalBatchSize: 4096) == 2.4e-3)
    let (plain, _) = try PerceptualConfiguration.load(
      yaml: "data: {path: a}\ntraining: {epochs: 300}", source: "x")
    #expect(moco.contrast == plain.contrast && moco.views == plain.views)
  }

  @Test func pixelsNeedNoTokenizer() throws {
    let yaml = "data: {path: a.h5}\ntraining: {steps: 10}\nmasking: {ratio: 0.4}\n"
    #expect(throws: ConfigurationError.self) { try PretrainConfiguration.load(yaml: yaml, source: "x") }
    let (pixels, resolved) = try PretrainConfiguration.load(
      yaml: yaml, source: "x", overrides: ["target.kind=pixels", "target.positions=all"])
    #expect(pixels.target.kind == .pixels && pixels.target.positions == .all && pixels.target.normalize)
    #expect(try PretrainConfiguration.load(yaml: resolved, source: "y").configuration == pixels)
  }

  @Test func aDiscreteVAEIsDALLEs() throws {
    let (dvae, _) = try TokenizerConfiguration.load(file: Self.configs + "/beit_dvae_imagenet.yaml")
    let (plain, _) = try TokenizerConfiguration.load(
      yaml: "data: {path: a.h5, image_size: 256}\ntraining: {steps: 1}\nmodel: {kind: dvae}", source: "x")
    for configuration in [dvae, plain] {
      let family = try #require(configuration.family as? DVAEFamily)
      #expect(family.architecture(configuration.settings) == DVAEConfiguration())
    }
    #expect(dvae.family.isEqual(to: plain.family))
  }

  private let pretrain = """
    data: {path: a.h5}
    training: {steps: 10}
    masking: {ratio: 0.4}
    tokens: {file: t.h5}
    """

  @Test func defaultsAndOverrides() throws {
    let (plain, _) = try PretrainConfiguration.load(yaml: pretrain, source: "x")
    #expect(plain.shared.training.length == .steps(10) && plain.tokens.source == .file("t.h5"))
    #expect(plain.masking.count(of: 196) == 78 && plain.model.layerScale == 0.1)
    #expect(plain.shared.checkpoint.everyMinutes == 30)
    let (other, yaml) = try PretrainConfiguration.load(
      yaml: pretrain, source: "x",
      overrides: [
        "training.epochs=2.5", "masking.count=20", "tokens.tokenizer=run", "model.layer_scale=null",
        "checkpoint.every_minutes=null", "optimizer.warmup_steps=3", "model.size=tiny", "model.depth=2",
        "seed=18446744073709551615",
      ])
    #expect(other.shared.training.length == .epochs(2.5) && other.tokens.source == .tokenizer("run"))
    #expect(other.masking.amount == .count(20) && other.model.layerScale == nil)
    #expect(other.shared.checkpoint.everyMinutes == nil && other.shared.optimizer.warmup == .steps(3))
    #expect(
      other.model.dimensions.width == 192 && other.model.dimensions.depth == 2 && other.shared.seed == .max)
    #expect(try PretrainConfiguration.load(yaml: yaml, source: "resolved").configuration == other)
  }

  @Test(
    arguments: [
      ("data.image_size=225", "data.image_size"), ("masking.count=196", "masking.count"),
      ("masking.count=10", "masking.minimum_block"), ("model.heads=7", "model.heads"),
      ("data.crop_scale=[1, 0.5]", "data.crop_scale"),
      ("training.global_batch_size=0", "training.global_batch_size"),
      ("optimizer.betas=[0.9]", "optimizer.betas"), ("tokens.tokenizer=a", nil),
      ("model.drop_path=1", "model.drop_path"), ("model.sise=base", "model.sise"),
      ("target.kind=patches", "target.kind"), ("target.positions=visible", "target.positions"),
      ("optimizer.name=sgd", "optimizer.name"), ("checkpoint.keep=0", "checkpoint.keep"),
      ("training.epochs=1e18", "training.epochs"),
      ("checkpoint.every_epochs=1e-18", "checkpoint.every_epochs"),
      ("optimizer.warmup_epochs=1e18", "optimizer.warmup_epochs"),
    ] as [(String, String?)])
  func impossibleValuesNameTheirKey(_ override: String, _ key: String?) throws {
    guard let key else {
      #expect(throws: Never.self) {
        try PretrainConfiguration.load(yaml: pretrain, source: "x", overrides: [override])
      }
      return
    }
    let error = try #require(throws: ConfigurationError.self) {
      try PretrainConfiguration.load(yaml: pretrain, source: "x", overrides: [override])
    }
    #expect(error.issues.map(\.key) == [key])
  }

  @Test(arguments: [
    ("data.image_size=200", "data.image_size"), ("perceptual.network=vit", "perceptual.weights"),
    ("perceptual={network: vgg16, weights: random, taps: [3, 2]}", "perceptual.taps"),
    ("perceptual={network: resnet50, weights: random, taps: [5]}", "perceptual.taps"),
    ("perceptual={network: vit, weights: random, size: tiny, taps: [3, 13]}", "perceptual.taps"),
    ("perceptual={network: vit, weights: random, image_size: 100}", "perceptual.image_size"),
    ("perceptual.weights=a.safetensors", "perceptual.weights"), ("perceptual.taps=[1]", "perceptual.taps"),
    ("perceptual={comparison: unit_channels, channel_weights: a}", "perceptual.channel_weights"),
    ("data.mean=[0.485, 0.456, 0.406]", "data.mean"), ("data.std=[0.5, 0.5, 0.4]", "data.std"),
    ("codebook.decay=1", "codebook.decay"), ("codebook.decay=-0.1", "codebook.decay"),
    ("loss.pixel=l3", "loss.pixel"), ("loss.pixel=logit_laplace", "loss.pixel"),
    ("dvae.minimum_temperature=2", "dvae.minimum_temperature"), ("dvae.temperature=0", "dvae.temperature"),
    ("adversarial={discriminator: patch, layers: 7}", "adversarial.layers"),
    ("model={kind: dvae, base_width: 6, channel_multipliers: [1, 2, 4]}", "model.base_width"),
  ])
  func impossibleTokenizersNameTheirKey(_ override: String, _ key: String) throws {
    let error = try #require(throws: ConfigurationError.self) {
      try TokenizerConfiguration.load(
        yaml: "data: {path: a.h5}\ntraining: {epochs: 1}", source: "x", overrides: [override])
    }
    #expect(error.issues.map(\.key) == [key])
  }

  @Test(arguments: [
    "codebook.decay=0", "codebook.decay=0.999999", "data={path: a.h5, mean: [0.5, 0.5, 0.5]}",
    // A file tells how deep its transformer is.
    "perceptual={network: vit, weights: huge.h5, taps: [8, 32]}",
  ])
  func whatTheReaderTakesTheModelTakes(_ override: String) throws {
    let (tokenizer, _) = try TokenizerConfiguration.load(
      yaml: "data: {path: a.h5}\ntraining: {epochs: 1}", source: "x", overrides: [override])
    try #require(tokenizer.family as? VQVAEFamily).architecture(tokenizer.settings).validate()
  }
}

extension ConfigurationTests {
  @Test func whatTheFileHasMayWaitForItsSwitch() throws {
    let (_, yaml) = try TokenizerConfiguration.load(
      yaml: """
        data: {path: a.h5}
        training: {epochs: 1}
        loss: {perceptual_weight: 2}
        dvae: {kl_weight: 1}
        adversarial: {weight: 0.5}
        """, source: "x", overrides: ["perceptual.taps=null"])
    #expect(throws: Never.self) { try TokenizerConfiguration.load(yaml: yaml, source: "resolved") }
  }

  /// Layers that start at random all learn at the full rate.
  @Test func layersDecayWhereTheyArePretrained() throws {
    for (model, decay) in [("{}", 1), ("{weights: run}", 0.65)] {
      let yaml = "data: {path: a.h5}\ntraining: {epochs: 1}\nmodel: \(model)"
      #expect(try FinetuneConfiguration.load(yaml: yaml, source: "x").configuration.layerDecay == decay)
    }
  }

  @Test func evaluationsThatCannotBeCountedAreRefused() throws {
    let error = try #require(throws: ConfigurationError.self) {
      try FinetuneConfiguration.load(
        yaml: "data: {path: a.h5}\ntraining: {epochs: 1}\nevaluation: {every_epochs: 1.0e-18}", source: "x")
    }
    #expect(error.issues.map(\.key) == ["evaluation.every_epochs"])
  }

  @Test(arguments: [
    ("model.width=18", "model.width"), ("model.heads=5", "model.heads"),
    ("training.global_batch_size=1", "training.global_batch_size"),
    ("views.blur_sigma=[2, 1]", "views.blur_sigma"),
    ("views.solarize_probabilities=[0, 1.5]", "views.solarize_probabilities"),
    ("contrast.momentum=1.1", "contrast.momentum"), ("evaluation.neighbors=0", "evaluation.neighbors"),
    ("data.image_size=225", "data.image_size"), ("evaluation.every_epochs=1e-18", "evaluation.every_epochs"),
  ])
  func impossiblePerceptualNetworksNameTheirKey(_ override: String, _ key: String) throws {
    let yaml = "data: {path: a.h5}\ntraining: {epochs: 1}\nmodel: {heads: 2}"
    let error = try #require(throws: ConfigurationError.self) {
      try PerceptualConfiguration.load(yaml: yaml, source: "x", overrides: [override])
    }
    #expect(error.issues.map(\.key) == [key])
  }
}

/// `docs/configuration.md` tells of every key, and of no other.
@Suite struct ConfigurationDocumentTests {
  @Test func tellsOfEveryKey() throws {
    let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("docs/configuration.md").path
    let sections = try String(contentsOfFile: path, encoding: .utf8).components(separatedBy: "\n## ")
      .map { section in
        section.split(separator: "\n").filter { $0.hasPrefix("| `") }.flatMap { row in
          row.split(separator: "|")[0].split(separator: "`").map(String.init)
            .filter { $0.first?.isLetter ?? false }
        }
      }
    let shared = "data: {path: a}\ntraining: {steps: 1}\n"
    let tokenizer = try TokenizerConfiguration.load(yaml: shared, source: "tokenizer").resolved
    let pretrain = try PretrainConfiguration.load(
      yaml: shared + "masking: {count: 75}\ntokens: {file: t}", source: "pretrain"
    ).resolved
    let perceptual = try PerceptualConfiguration.load(yaml: shared, source: "perceptual").resolved
    let finetune = try FinetuneConfiguration.load(yaml: shared, source: "finetune").resolved
    let known = [tokenizer, pretrain, perceptual, finetune].flatMap { keys(of: $0) }
    #expect(Set(sections.joined()) == Set(known))
    // Commands may share a key; none tells of it twice.
    for documented in sections { #expect(Set(documented).count == documented.count) }
  }

  /// Key paths of a resolved configuration, which has two levels at most.
  private func keys(of yaml: String) -> [String] {
    var section = ""
    return yaml.split(separator: "\n").compactMap { line in
      let key = line.prefix { $0 != ":" }.trimmingCharacters(in: .whitespaces)
      guard !line.hasSuffix(":") else {
        section = key
        return nil
      }
      return line.hasPrefix(" ") ? "\(section).\(key)" : key
    }
  }
}
