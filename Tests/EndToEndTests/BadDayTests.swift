import Foundation
import Testing

/// What the user sees when something is wrong: one error that says what and where, a code that is not zero, and
/// nothing lost.
@Suite(.serialized) struct BadDayTests {
  private func expectError(
    _ run: PecoRun, _ words: String..., sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(run.exitCode != 0, "\(run)", sourceLocation: sourceLocation)
    #expect(run.errorLines.count == 1, "\(run)", sourceLocation: sourceLocation)
    for word in words {
      #expect(run.errors.contains(word), "'\(word)' is not in: \(run)", sourceLocation: sourceLocation)
    }
  }

  @Test func `an empty folder`() throws {
    let workshop = try Workshop()
    try FileManager.default.createDirectory(atPath: workshop.path("empty"), withIntermediateDirectories: true)
    expectError(try workshop.peco(["dataset", "prepare", "--input", "empty", "--output", "out.h5"]), "empty")
    #expect(!FileManager.default.fileExists(atPath: workshop.path("out.h5")))
  }

  @Test func `a truncated JPEG and a text file named .jpg are listed and skipped, or refused`() throws {
    let workshop = try Workshop()
    let drawn = try workshop.peco([
      "dataset", "synthesize", "--folder", "tree", "--count", "6", "--size", "40",
    ])
    #expect(drawn.exitCode == 0, "\(drawn)")
    let files = try #require(FileManager.default.enumerator(atPath: workshop.path("tree")))
      .compactMap { $0 as? String }.filter { $0.hasSuffix(".jpg") }.sorted()
    let whole = try Data(contentsOf: URL(filePath: workshop.path("tree/\(files[0])")))
    try whole.prefix(whole.count / 2).write(to: URL(filePath: workshop.path("tree/\(files[0])")))
    try workshop.write("not a picture", to: "tree/\(files[1])")

    let lenient = try workshop.peco(["dataset", "prepare", "--input", "tree", "--output", "out.h5"])
    #expect(lenient.exitCode == 0, "\(lenient)")
    for file in files[0...1] {
      #expect((lenient.errors + lenient.output).contains((file as NSString).lastPathComponent), "\(lenient)")
    }
    let info = try workshop.peco(["dataset", "info", "out.h5"])
    #expect(info.output.contains("4"), "\(info)")

    let strict = try workshop.peco([
      "dataset", "prepare", "--input", "tree", "--output", "strict.h5", "--strict",
    ])
    #expect(strict.exitCode != 0, "\(strict)")
    #expect(!FileManager.default.fileExists(atPath: workshop.path("strict.h5")))
  }

  @Test func `a truncated dataset`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    let url = URL(filePath: workshop.path("pictures.h5"))
    let whole = try Data(contentsOf: url)
    try whole.prefix(whole.count / 2).write(to: url)
    let run = try workshop.peco(
      ["tokenizer", "train", "--config", "tokenizer.yaml", "--run", "run"], ranks: 2)
    expectError(run, "pictures.h5")
  }

  @Test func `a dataset that is another on the second rank`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    try workshop.train(.tokenizer, set: ["training.steps=1"])
    try workshop.write(
      """
      data: {path: ../pictures.h5, image_size: 32, workers: 1}
      model: {width: 24, depth: 1, heads: 2, patch_size: 8}
      training: {steps: 1, global_batch_size: 8, micro_batch_size: 4}
      """, to: "finetune.yaml")
    try workshop.train(.finetune, set: ["data.path=pictures.h5"])
    // As many pictures of the same classes, but others.
    for rank in 0...1 {
      try workshop.write("", to: "\(rank)/here")
      let drawn = try workshop.peco([
        "dataset", "synthesize", "--output", "\(rank)/data.h5", "--count", "40", "--size", "40", "--seed",
        "\(rank)",
      ])
      #expect(drawn.exitCode == 0, "\(drawn)")
    }
    try workshop.write(
      "cd $OMPI_COMM_WORLD_RANK && exec \"\(try Workshop.pecoPath())\" \"$@\"", to: "rank.sh")
    let tokenizer = ["--tokenizer", "../tokenizer"]
    let commands: [[String]] = [
      ["tokenizer", "encode", "--data", "data.h5", "--output", "../tokens.h5"] + tokenizer,
      ["tokenizer", "probe", "--data", "../pictures.h5", "--evaluation", "data.h5"] + tokenizer,
      ["tokenizer", "classify", "--data", "data.h5", "--classifier", "../finetune"] + tokenizer,
      ["probe", "--checkpoint", "../finetune", "--data", "data.h5", "--evaluation", "../pictures.h5"],
      ["evaluate", "--checkpoint", "../finetune", "--data", "data.h5"],
      ["finetune", "--config", "../finetune.yaml", "--run", "../again", "--set", "evaluation.path=data.h5"],
      [
        "perceptual", "train", "--config", "../perceptual.yaml", "--run", "../perceptual", "--set",
        "data.path=../pictures.h5", "evaluation.path=data.h5",
      ],
    ]
    let mpirun = ["mpirun", "--quiet", "-np", "2", "--oversubscribe", "--bind-to", "none"]
    for arguments in commands {
      let run = try workshop.run(mpirun + ["bash", workshop.path("rank.sh")] + arguments)
      expectError(run, "data.h5 differ between ranks")
    }
  }

  @Test func `a configuration with an unknown key`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    let run = try workshop.peco(
      ["tokenizer", "train", "--config", "tokenizer.yaml", "--run", "run", "--set", "training.step=3"],
      ranks: 2)
    expectError(run, "training.step", "training.steps")
  }

  @Test func `a mask that could mask nothing`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    let run = try workshop.peco(
      ["pretrain", "--config", "pretrain.yaml", "--run", "run", "--set", "masking.minimum_block=9"])
    expectError(run, "masking.minimum_block")
  }

  @Test func `a checkpoint of another architecture`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    try workshop.train(.tokenizer, set: ["training.steps=1"])
    let run = try workshop.peco(
      [
        "tokenizer", "train", "--config", "tokenizer.yaml", "--run", "tokenizer", "--set",
        "model.base_width=16",
      ])
    expectError(run, "step-000000001.h5", "encoder.conv_in.weight")
  }

  @Test func `a damaged checkpoint is passed over for the one before`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    try workshop.train(.tokenizer, set: ["training.steps=4", "checkpoint.every_steps=1"])
    let newest = workshop.path("tokenizer/checkpoints/step-000000004.h5")
    let handle = try FileHandle(forUpdating: URL(filePath: newest))
    // Where arrays lie, not what describes them.
    try handle.seek(toOffset: try handle.seekToEnd() / 2)
    try handle.write(contentsOf: Data(repeating: 0xA5, count: 16384))
    try handle.close()
    let run = try workshop.train(.tokenizer, set: ["training.steps=4"])
    #expect(run.errors.contains("passing over"), "\(run)")
    #expect(run.errors.contains("step-000000003.h5"), "\(run)")
    #expect(try workshop.metric("step", of: "tokenizer") == ["1", "2", "3", "4"])
  }

  @Test func `a disk that is full when the last checkpoint is written`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    try workshop.train(.tokenizer, set: ["training.stop_after_step=2"])
    // A limit on the size of files stands in for a full disk: 64 blocks of 1 KiB.
    let run = try workshop.peco(
      ["tokenizer", "train", "--config", "tokenizer.yaml", "--run", "tokenizer"], prelude: "ulimit -f 64")
    expectError(run, "step-000000008.h5")
    let left = try FileManager.default.contentsOfDirectory(atPath: workshop.path("tokenizer/checkpoints"))
    #expect(left == ["step-000000002.h5"])
  }

  @Test func `a loss that is not finite`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    let run = try workshop.peco(
      [
        "tokenizer", "train", "--config", "tokenizer.yaml", "--run", "run", "--set",
        "optimizer.learning_rate=1e30",
        "checkpoint.every_steps=1",
      ], ranks: 2)
    expectError(run, "not finite", "step")
    let left = try FileManager.default.contentsOfDirectory(atPath: workshop.path("run/checkpoints"))
    #expect(!left.isEmpty)
  }

  @Test func `a rank that dies ends the job`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    let peco = try Workshop.pecoPath()
    try workshop.write(
      """
      [ "$OMPI_COMM_WORLD_RANK" = 1 ] && (sleep 2; kill -9 $$) &
      exec "\(peco)" tokenizer train --config tokenizer.yaml --run run --set training.steps=100000
      """, to: "rank.sh")
    let start = ContinuousClock.now
    let run = try workshop.peco([], prelude: "exec mpirun -np 2 --oversubscribe bash rank.sh")
    #expect(run.exitCode != 0)
    #expect(run.errors.contains("signal 9"), "\(run)")
    #expect(start.duration(to: .now) < .seconds(60))
  }

  // Slurm sends SIGTERM, even twice, to ranks that are leaving after SIGUSR1.
  @Test(arguments: ["kill -USR1 $!", "kill -USR1 $!; kill -TERM $!; sleep 0.02; kill -TERM $!"])
  func `signals leave a checkpoint behind`(signals: String) throws {
    let workshop = try Workshop()
    try workshop.prepare()
    let peco = try Workshop.pecoPath()
    try workshop.write(
      """
      "\(peco)" tokenizer train --config tokenizer.yaml --run run --set training.steps=100000 &
      sleep 3; \(signals); wait $!
      """, to: "job.sh")
    let run = try workshop.peco([], prelude: "exec bash job.sh")
    #expect(run.exitCode == 75, "\(run)")
    let steps = try workshop.metric("step", of: "run").count
    #expect(steps > 0)
    let name = "step-" + String(format: "%09d", steps) + ".h5"
    #expect(FileManager.default.fileExists(atPath: workshop.path("run/checkpoints/\(name)")))
  }
}
