import Foundation
import Storage
import Testing

/// Fine-tuning, evaluation, and what else is done with a trained transformer.
@Suite(.serialized) struct TransferTests {
  private static let finetune = """
    seed: 3
    data: {path: train.h5, image_size: 32, workers: 1, crop_scale: [0.5, 1]}
    model: {width: 32, depth: 2, heads: 2, patch_size: 8, drop_path: 0.1}
    evaluation: {path: test.h5, resize: 36}
    augmentation: {mixup: 0, cutmix: 0, rand_augment: null, erasing: 0}
    training: {epochs: 12, global_batch_size: 32, micro_batch_size: 8}
    optimizer: {learning_rate: 3.0e-3, warmup_epochs: 1, layer_decay: 0.9}
    """

  private func prepare(_ workshop: Workshop, train: Int = 320, test: Int = 50) throws {
    for (name, count, seed) in [("train.h5", train, 1), ("test.h5", test, 2)] {
      let run = try workshop.peco([
        "dataset", "synthesize", "--output", name, "--count", "\(count)", "--size", "40", "--seed", "\(seed)",
      ])
      #expect(run.exitCode == 0, "\(run)")
    }
    try workshop.write(Self.finetune, to: "finetune.yaml")
  }

  /// A pretrained transformer of the same architecture.
  private func pretrain(_ workshop: Workshop) throws {
    try workshop.prepare()
    try workshop.train(.tokenizer, set: ["training.steps=2"])
    try workshop.train(.pretrain, set: ["training.steps=2"])
  }

  private func score(_ run: PecoRun) throws -> [String: Double] {
    let object = try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Double]
    return try #require(object)
  }

  /// Settings with which a transformer learns images by heart within a second.
  private static let byHeart = [
    "model={width: 48, depth: 2, heads: 2, patch_size: 8, drop_path: 0, positions: absolute, layer_scale: null}",
    "data.crop_scale=[1, 1]", "data.flip=false", "evaluation={path: train.h5, resize: 32, every_epochs: 20}",
    "training={epochs: 80, global_batch_size: 16, micro_batch_size: 16}", "optimizer.learning_rate=2e-3",
  ]

  @Test
  func
    `a classifier learns images, and is scored alike by training and by evaluate on any number of ranks`()
    throws
  {
    let workshop = try Workshop()
    try prepare(workshop, train: 80)
    try workshop.train(.finetune, run: "run", set: Self.byHeart)
    let found = try #require(workshop.metric("evaluation_top1", of: "run").last.flatMap(Double.init))
    #expect(found > 0.7, "top-1 \(found) of ten classes")
    #expect(try workshop.metric("evaluation_top1", of: "run").count == 4)
    for ranks in [nil, 3] {
      let run = try workshop.peco(
        ["evaluate", "--checkpoint", "run", "--data", "train.h5", "--json"], ranks: ranks)
      let score = try score(run)
      #expect(score["images"] == 80 && score["evaluation_top1"] == found, "\(run)")
      let loss = try #require(workshop.metric("evaluation_loss", of: "run").last.flatMap(Double.init))
      #expect(abs((score["evaluation_loss"] ?? 0) - loss) < 1e-5 * loss)
    }
  }

  @Test func `everything together: 2N steps equal N, stop, resume, N, and one rank two`() throws {
    let workshop = try Workshop()
    try prepare(workshop, train: 96, test: 21)
    try pretrain(workshop)
    let settings = [
      "model={weights: pretrain, drop_path: 0.3, positions: relative}", "data.image_size=48",
      "evaluation.resize=52",
      "augmentation={erasing: 0.5}", "ema.decay=0.9", "data.labels_share=0.67",
      "training={steps: 6, global_batch_size: 16, micro_batch_size: 4}",
      "communication.reduce_dtype=float64", "evaluation.every_epochs=0.5",
    ]
    try workshop.train(.finetune, run: "whole", set: settings, ranks: 2)
    try workshop.train(.finetune, run: "parts", set: settings + ["training.stop_after_step=3"], ranks: 2)
    // The weights are needed no more.
    try FileManager.default.moveItem(atPath: workshop.path("pretrain"), toPath: workshop.path("moved"))
    try workshop.train(.finetune, run: "parts", set: settings, ranks: 2)
    #expect(try workshop.metric("step", of: "parts") == (1...6).map(String.init))
    for key in ["loss", "evaluation_top1", "ema_evaluation_loss"] {
      #expect(try workshop.metric(key, of: "parts") == workshop.metric(key, of: "whole"), "\(key)")
      #expect(try !workshop.metric(key, of: "parts").isEmpty)
    }
    let (whole, parts) = (
      try workshop.weights(of: "whole", step: 6), try workshop.weights(of: "parts", step: 6)
    )
    #expect(whole == parts)
    #expect(whole.keys.contains("ema/blocks.1.attn.relative_position_bias_table"))

    try FileManager.default.moveItem(atPath: workshop.path("moved"), toPath: workshop.path("pretrain"))
    try workshop.train(.finetune, run: "alone", set: settings)
    #expect(try workshop.metric("loss", of: "alone") == workshop.metric("loss", of: "whole"))
  }

  @Test func `weights travel out and back`() throws {
    let workshop = try Workshop()
    try pretrain(workshop)
    let half = ["--mean", "0.5", "0.5", "0.5", "--std", "0.5", "0.5", "0.5"]
    for layout in ["beit", "huggingface"] {
      let steps = [
        ["export", "--checkpoint", "pretrain", "--layout", layout, "--output", "\(layout).safetensors"],
        [
          "import", "--from", "\(layout).safetensors", "--layout", layout, "--output", "\(layout).h5",
          "--check",
        ] + half,
        ["features", "--checkpoint", "\(layout).h5", "--data", "images.h5", "--output", "\(layout)-f.h5"],
      ]
      for step in steps {
        let run = try workshop.peco(step)
        #expect(run.exitCode == 0, "\(run)")
      }
    }
    let run = try workshop.peco(
      [
        "features", "--checkpoint", "pretrain", "--data", "images.h5", "--output", "f.h5", "--batch-size",
        "3",
      ] + half,
      ranks: 3)
    #expect(run.exitCode == 0, "\(run)")
    func features(_ name: String) throws -> [Float] {
      try HDF5File(opening: workshop.path(name)).read("features")
    }
    let own = try features("f.h5")
    #expect(own.count == 40 * 24 && Set(own).count > 500)
    for layout in ["beit", "huggingface"] {
      let differences = zip(own, try features("\(layout)-f.h5")).map { abs($0 - $1) }
      #expect(differences.count == own.count && (differences.max() ?? 1) < 1e-5)
    }

    // What images were normalized by travels in the file.
    let told = try workshop.peco([
      "import", "--from", "beit.safetensors", "--layout", "beit", "--output", "told.h5",
    ])
    #expect(told.output.contains("images normalized by [0.485, 0.456, 0.406]"), "\(told)")
    // timm has no place for the head of tokens.
    let (export, mark) = (
      ["export", "--checkpoint", "pretrain", "--output"], "images normalized by [0.485"
    )
    let refused = try workshop.peco(export + ["timm.safetensors", "--layout", "timm", "--check"])
    #expect(refused.exitCode == 1 && refused.errorLines.count == 1 && refused.output == "", "\(refused)")
    for name in ["lm_head.weight [24, 24]", "lm_head.bias [24]", "mask_token [1, 1, 24]"] {
      #expect(refused.errors.contains("left out: \(name)"), "\(name): \(refused)")
    }
    #expect(!FileManager.default.fileExists(atPath: workshop.path("timm.safetensors")))
    let part = try workshop.peco(export + ["timm.safetensors", "--layout", "timm"])
    #expect(part.exitCode == 0 && part.output.contains(mark) && part.errors.contains("kept: "), "\(part)")
    let whole = try workshop.peco(export + ["whole.safetensors", "--layout", "beit", "--check"])
    #expect(whole.exitCode == 0 && whole.output.contains(mark), "\(whole)")
    #expect(!whole.errors.contains("left out"), "\(whole)")
  }

  @Test func `a probe tells what was learned, alike on any number of ranks`() throws {
    let workshop = try Workshop()
    try prepare(workshop, train: 80)
    try workshop.train(.finetune, run: "run", set: Self.byHeart)
    for method in ["linear", "knn"] {
      let outputs = try [nil, 3].map { ranks in
        let run = try workshop.peco(
          [
            "probe", "--checkpoint", "run", "--data", "train.h5", "--evaluation", "train.h5", "--block",
            "all",
            "--method", method, "--json",
          ], ranks: ranks)
        #expect(run.exitCode == 0, "\(run)")
        return run.output.split(separator: "\n").filter { $0.hasPrefix("{") }.map(String.init)
      }
      #expect(outputs[0].count == 2)
      #expect(outputs[0] == outputs[1])
      let last =
        try JSONSerialization.jsonObject(with: Data(try #require(outputs[0].last).utf8)) as? [String: Any]
      let top1 = try #require(last?["evaluation_top1"] as? Double)
      #expect(top1 > (method == "linear" ? 0.7 : 0.3), "\(outputs[0])")
    }
  }

  @Test func `what does not go together is refused`() throws {
    let workshop = try Workshop()
    try prepare(workshop, train: 96, test: 21)
    try pretrain(workshop)
    func expect(_ set: [String], _ tokens: String...) throws {
      let run = try workshop.peco(["finetune", "--config", "finetune.yaml", "--run", "bad", "--set"] + set)
      #expect(run.exitCode == 1 && run.errorLines.count == 1, "\(run)")
      for token in tokens { #expect(run.errors.contains(token), "'\(token)' is not in: \(run)") }
    }
    try expect(["model={weights: pretrain, width: 64}"], "model.width is 64", "24")
    try expect(["model={weights: pretrain, mlp_ratio: 2}"], "model.mlp_ratio is 2.0", "4.0")
    try expect(
      ["model={weights: pretrain, layer_scale: 0.5}"], "model.layer_scale: has no effect", "model.weights")
    try expect(["model.weights=nowhere"], "nowhere")
    try expect(["model={weights: tokenizer}"], "tokenizer", "vision transformer")
    try expect(["augmentation.mixup=1", "training.micro_batch_size=1"], "pairs")
    try expect(["augmentation.rand_augment=rand-m99"], "augmentation.rand_augment", "rand-m9")
    let run = try workshop.peco(["evaluate", "--checkpoint", "pretrain", "--data", "test.h5"])
    #expect(run.exitCode == 1 && run.errors.contains("no classification head"), "\(run)")
  }
}
