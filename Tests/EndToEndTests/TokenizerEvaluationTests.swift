import Foundation
import Testing

/// What tokens keep of images: `peco tokenizer probe` and `classify`.
@Suite(.serialized) struct TokenizerEvaluationTests {
  private static let classifier = """
    seed: 3
    data: {path: train.h5, image_size: 32, workers: 1, crop_scale: [1, 1], flip: false, std: [0.3, 0.2, 0.25]}
    model: {width: 48, depth: 2, heads: 2, patch_size: 8, drop_path: 0, positions: absolute, layer_scale: null}
    evaluation: {path: train.h5, resize: 32, every_epochs: 80}
    augmentation: {mixup: 0, cutmix: 0, rand_augment: null, erasing: 0}
    training: {epochs: 80, global_batch_size: 16, micro_batch_size: 16}
    optimizer: {learning_rate: 2.0e-3, warmup_epochs: 1, layer_decay: 0.9}
    """

  private func object(_ run: PecoRun) throws -> [String: Double] {
    #expect(run.exitCode == 0, "\(run)")
    let object = try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Double]
    return try #require(object)
  }

  @Test func `tokens and reconstructions are classified, every image once on any number of ranks`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    let drawn = try workshop.peco([
      "dataset", "synthesize", "--output", "train.h5", "--count", "80", "--size", "40", "--seed", "1",
    ])
    #expect(drawn.exitCode == 0, "\(drawn)")
    try workshop.write(Self.classifier, to: "finetune.yaml")
    try workshop.train(.finetune)
    try workshop.train(.tokenizer, set: ["data.path=train.h5"])
    try workshop.write(Workshop.discreteConfiguration, to: "discrete.yaml")
    let discrete = try workshop.peco(
      ["tokenizer", "train", "--config", "discrete.yaml", "--run", "discrete"], ranks: nil)
    #expect(discrete.exitCode == 0, "\(discrete)")

    for (tokenizer, pool) in [("tokenizer", "grid"), ("tokenizer", "mean"), ("discrete", "mean")] {
      let found = try [nil, 3].map { ranks in
        try object(
          try workshop.peco(
            [
              "tokenizer", "probe", "--tokenizer", tokenizer, "--data", "train.h5", "--evaluation",
              "train.h5",
              "--pool", pool, "--json",
            ], ranks: ranks))
      }
      #expect(found[0]["images"] == 80)
      #expect(found[0] == found[1])
      // All tokens of few images tell them apart; the mean of them less, but more than a guess.
      if tokenizer == "tokenizer" {
        #expect((found[0]["evaluation_top1"] ?? 0) > (pool == "grid" ? 0.8 : 0.15), "\(found)")
      }
    }

    let plain = try object(
      try workshop.peco(["evaluate", "--checkpoint", "finetune", "--data", "train.h5", "--json"]))
    let reports = try [nil, 3].map { ranks in
      try object(
        try workshop.peco(
          [
            "tokenizer", "classify", "--tokenizer", "tokenizer", "--classifier", "finetune", "--data",
            "train.h5",
            "--json",
          ], ranks: ranks))
    }
    let report = reports[0]
    for (key, value) in report { #expect(abs((reports[1][key] ?? 0) - value) < 1e-5 * abs(value), "\(key)") }
    #expect(report["images"] == 80)
    let (original, kept) = (report["original_top1"] ?? 0, report["reconstruction_top1"] ?? 0)
    #expect(original == plain["evaluation_top1"] && original > 0.7, "\(report)")
    // Eight steps draw little.
    #expect(kept < original && (report["psnr"] ?? 0) > 5, "\(report)")

    let reconstruction = try workshop.peco([
      "tokenizer", "reconstruct", "--tokenizer", "tokenizer", "--data", "train.h5", "--output", "grid.png",
      "--measure", "80",
    ])
    let text = reconstruction.output.components(separatedBy: "PSNR ").last?.prefix { $0 != " " } ?? ""
    let psnr = try #require(Double(text), "\(reconstruction)")
    #expect(abs((report["psnr"] ?? 0) - psnr) < 0.01, "\(reconstruction), \(report)")
  }

  @Test func `what does not go together is refused`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    try workshop.train(.tokenizer, set: ["training.steps=1"])
    try workshop.train(.pretrain, set: ["training.steps=1"])
    let classify = ["tokenizer", "classify", "--data", "images.h5"]
    for (arguments, token) in [
      (classify + ["--tokenizer", "tokenizer", "--classifier", "pretrain"], "no classification head"),
      (classify + ["--tokenizer", "pretrain", "--classifier", "pretrain"], "a tokenizer's is needed"),
      (
        [
          "tokenizer", "probe", "--tokenizer", "nowhere", "--data", "images.h5", "--evaluation",
          "images.h5",
        ],
        "no tokenizer at nowhere"
      ),
    ] {
      let run = try workshop.peco(arguments)
      #expect(run.exitCode == 1 && run.errorLines.count == 1 && run.errors.contains(token), "\(run)")
    }
    let run = try workshop.peco(
      classify + ["--tokenizer", "tokenizer", "--classifier", "pretrain", "--image-size", "64"])
    #expect(run.exitCode == 64 && run.errors.contains("--image-size"), "\(run)")
  }
}
