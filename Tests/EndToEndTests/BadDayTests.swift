import Foundation
import Testing

/// What the user sees when something is wrong: one error that says what and where, a code that is not zero, and
/// nothing lost.
@Suite(.serialized) struct BadDayTests {
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
    try workshop.write("not an image", to: "tree/\(files[1])")

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

  @Test(.timeLimit(.minutes(1)), arguments: ["INT", "TERM"])
  func `a pipe that stalls is left on a signal`(signal: String) throws {
    let workshop = try Workshop()
    let script = """
      mkfifo pipe; sleep 30 > pipe & writer=$!
      "$1" dataset prepare --input pipe --output out.h5 & sleep 1; kill -\(signal) $!; wait $!; code=$?
      kill $writer; exit $code
      """
    let run = try workshop.run(["bash", "-c", script, "bash", try Workshop.pecoPath()], hearsSignals: true)
    #expect(run.exitCode == 130, "\(run)")
    #expect(run.errors.contains("interrupted"), "\(run)")
    #expect(!FileManager.default.fileExists(atPath: workshop.path("out.h5")))
  }

  @Test func `a truncated dataset`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    let url = URL(filePath: workshop.path("images.h5"))
    let whole = try Data(contentsOf: url)
    try whole.prefix(whole.count / 2).write(to: url)
    let run = try workshop.peco(
      ["tokenizer", "train", "--config", "tokenizer.yaml", "--run", "run"], ranks: 2)
    expectError(run, "images.h5")
  }

  @Test func `a dataset that is another on the second rank`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    try workshop.train(.tokenizer, set: ["training.steps=1"])
    try workshop.write(
      """
      data: {path: ../images.h5, image_size: 32, workers: 1}
      model: {width: 24, depth: 1, heads: 2, patch_size: 8}
      training: {steps: 1, global_batch_size: 8, micro_batch_size: 4}
      """, to: "finetune.yaml")
    try workshop.train(.finetune, set: ["data.path=images.h5"])
    // As many images of the same classes, but others.
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
      ["tokenizer", "probe", "--data", "../images.h5", "--evaluation", "data.h5"] + tokenizer,
      ["tokenizer", "classify", "--data", "data.h5", "--classifier", "../finetune"] + tokenizer,
      ["probe", "--checkpoint", "../finetune", "--data", "data.h5", "--evaluation", "../images.h5"],
      ["evaluate", "--checkpoint", "../finetune", "--data", "data.h5"],
      ["finetune", "--config", "../finetune.yaml", "--run", "../again", "--set", "evaluation.path=data.h5"],
      [
        "perceptual", "train", "--config", "../perceptual.yaml", "--run", "../perceptual", "--set",
        "data.path=../images.h5", "evaluation.path=data.h5",
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

  @Test func `a start that fails leaves the run as it was`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    try workshop.train(.tokenizer, set: ["training.steps=2"])
    let configuration = try String(contentsOfFile: workshop.path("tokenizer/config.yaml"), encoding: .utf8)
    for (arguments, token) in [
      (["pretrain", "--config", "pretrain.yaml"], "task 'vqvae'"),
      (["tokenizer", "train", "--config", "tokenizer.yaml", "--set", "codebook.size=32"], "step-000000002"),
      (["tokenizer", "train", "--config", "tokenizer.yaml", "--set", "training.epochs=0.001"], "no step"),
    ] {
      let epochs = arguments.last?.hasPrefix("training.epochs") == true ? ["training.steps=null"] : []
      expectError(try workshop.peco(arguments + epochs + ["--run", "tokenizer"]), token)
    }
    // Nor does one that has nothing to do.
    try workshop.train(.tokenizer, set: ["training.steps=1"])
    #expect(
      try String(contentsOfFile: workshop.path("tokenizer/config.yaml"), encoding: .utf8) == configuration)
    let empty = try workshop.peco(["pretrain", "--config", "pretrain.yaml", "--run", ""])
    #expect(empty.exitCode == 64 && empty.errors.contains("--run is empty"), "\(empty)")
  }

  @Test func `a run's directory is one process's`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    let train = "\"\(try Workshop.pecoPath())\" tokenizer train --config tokenizer.yaml --run run"
    try workshop.write(
      """
      \(train) --set training.steps=100000 &
      until [[ -s run/metrics.jsonl ]]; do sleep 0.1; done
      \(train) --set seed=4 training.steps=2
      echo "second: $?"
      kill -USR1 $!; wait $!
      echo "first: $?"
      \(train) --set training.steps=100000 training.stop_after_step=1 && echo free
      """, to: "job.sh")
    let run = try workshop.run(["bash", "job.sh"])
    #expect(run.output.hasSuffix("second: 1\nfirst: 75\nfree\n"), "\(run)")
    #expect(run.errors.contains("another peco trains in run (process "), "\(run)")
    #expect(run.errorLines.count == 1, "\(run)")
  }

  @Test func `an evaluation does not hold up a run that is to leave`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    try workshop.write(
      """
      data: {path: images.h5, image_size: 32, workers: 1}
      model: {width: 96, depth: 6, heads: 2, patch_size: 4}
      evaluation: {path: images.h5, every_epochs: 0.01}
      training: {steps: 100, global_batch_size: 40, micro_batch_size: 4}
      """, to: "finetune.yaml")
    // It is heard within the first step, after which the images would be told.
    try workshop.write(
      """
      "\(try Workshop.pecoPath())" finetune --config finetune.yaml --run run 2>log &
      until grep -q "steps of" log; do sleep 0.02; done
      kill -TERM $!
      code=0
      wait $! || code=$?
      echo $code
      """, to: "job.sh")
    let run = try workshop.run(["bash", "job.sh"])
    #expect(run.output == "75\n", "\(run)")
    #expect(try workshop.metric("step", of: "run") == ["1"])
    #expect(try workshop.metric("evaluation_top1", of: "run") == [])
    try workshop.train(.finetune, run: "run", set: ["training.stop_after_step=2"])
    #expect(try workshop.metric("evaluation_top1", of: "run").count == 1)
  }

  @Test func `an image that was damaged since`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    let url = URL(filePath: workshop.path("images.h5"))
    var bytes = try Data(contentsOf: url)
    // Within an image's data, which decodes all the same.
    let mark = try #require(bytes.range(of: Data([0xFF, 0xDA])))
    for i in 0..<20 { bytes[mark.upperBound + 100 + i] = 0x55 }
    try bytes.write(to: url)
    let run = try workshop.peco(
      ["tokenizer", "train", "--config", "tokenizer.yaml", "--run", "run"], ranks: 2)
    expectError(run, "image 0", "does not match its checksum")
  }

  @Test func `an output that would replace what is read, or no file`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    try workshop.train(.tokenizer, set: ["training.steps=1"])
    try workshop.train(.pretrain, set: ["training.steps=1"])
    let checkpoint = "pretrain/checkpoints/step-000000001.h5"
    let (tokens, features) = (
      ["tokenizer", "encode", "--tokenizer", "tokenizer", "--data", "images.h5", "--output"],
      ["features", "--checkpoint", "pretrain", "--data", "images.h5", "--output"]
    )
    let export = ["export", "--checkpoint", checkpoint, "--layout", "beit", "--output"]
    let attention = ["figure", "attention", "--checkpoint", "pretrain", "--data", "images.h5", "--output"]
    let before = try ["images.h5", checkpoint].map {
      try Data(contentsOf: URL(filePath: workshop.path($0)))
    }
    for (arguments, token) in [
      (tokens + ["./images.h5"], "would replace what is read"),
      (features + ["images.h5"], "would replace what is read"),
      (features + [checkpoint], "would replace what is read"),
      (export + [checkpoint], "would replace what is read"), (export + ["tokenizer"], "is a folder"),
      (export + ["/dev/null"], "is no regular file"), (features + ["none/features.h5"], "no folder none"),
      (tokens + [""], "names no file"), (attention + ["map.jpg"], "ends in .png"),
      (attention + ["none/map.png"], "no folder none"),
    ] {
      let run = try workshop.peco(arguments)
      #expect(run.exitCode != 0 && run.errors.contains(token), "\(arguments): \(run)")
    }
    #expect(
      try ["images.h5", checkpoint].map { try Data(contentsOf: URL(filePath: workshop.path($0))) } == before
    )
    // Names of one letter are names.
    let short = try workshop.peco(export + ["x"])
    #expect(short.exitCode == 0 && FileManager.default.fileExists(atPath: workshop.path("x")), "\(short)")
  }

  @Test func `more patches than there can be pairs of`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    let run = try workshop.peco([
      "pretrain", "--config", "pretrain.yaml", "--run", "run", "--set", "data.image_size=4096",
      "model.patch_size=4", "target.kind=pixels", "tokens.tokenizer=null",
    ])
    expectError(run, "128 patches")
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
