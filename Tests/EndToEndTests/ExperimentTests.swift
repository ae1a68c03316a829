import Foundation
import Testing

/// `launch/experiments`: what there is to do, that it is done once, and what the tables say.
@Suite(.serialized) struct ExperimentTests {
  private static let folder = URL(filePath: #filePath)
    .deletingLastPathComponent().appending(path: "../../launch/experiments").standardizedFileURL.path

  private func run(_ script: String, _ arguments: [String], in workshop: Workshop) throws -> PecoRun {
    let peco = URL(filePath: try Workshop.pecoPath()).deletingLastPathComponent().path
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
    return try workshop.run(
      ["bash", Self.folder + "/" + script] + arguments, environment: ["PATH": peco + ":" + path],
      hearsSignals: true)
  }

  @Test func `the list has every row, step and seed`() throws {
    let workshop = try Workshop()
    try workshop.write("", to: "images/none")
    let all = try run("cifar10", ["images", "out", "--list"], in: workshop)
    #expect(all.exitCode == 0, "\(all)")
    let lines = all.output.split(separator: "\n")
    // Images and perceptual network; by seed 2 supervised, 4 of pixels, 7 of each tokenizer; 5 masks and 2 longer ones
    // of 4, 2 coarse ones and 2 in bfloat16 of 7.
    #expect(lines.count == 2 + 2 * (2 + 4 + 3 * 7) + 7 * 4 + 4 * 7, "\(all)")
    let probe = try run(
      "cifar10", ["images", "out", "--list", "--seeds", "3", "--only", "bfloat16-vqvae/probe"], in: workshop)
    #expect(
      probe.output.split(separator: "\n").map { $0.split(separator: " ").prefix(4).joined(separator: " ") }
        == [
          "images seed 0 prepare", "bfloat16-vqvae seed 3 tokenizer", "bfloat16-vqvae seed 3 pretrain",
          "bfloat16-vqvae seed 3 probe",
        ], "\(probe)")
    let wrong = try run("cifar10", ["images", "out", "--list", "--only", "peco/probing"], in: workshop)
    #expect(wrong.exitCode == 64 && wrong.errors.contains("probing"), "\(wrong)")
    #expect(lines.allSatisfy { $0.hasSuffix("to do") })
    for tokens in ["beit seed 1 reconstructions", "masking-random-60 seed 0 finetune-10"] {
      #expect(lines.contains { $0.split(separator: " ").joined(separator: " ").hasPrefix(tokens + " ") })
    }
    try workshop.write(
      #"{"row": "peco", "minutes": 1.50, "result": {}}"#, to: "out/results/peco.7.probe.json")
    let one = try run(
      "cifar10", ["images", "out", "--list", "--only", "peco", "--seeds", "7"], in: workshop)
    // Its seven steps, and what they need: images, perceptual network, and a classifier for its reconstructions.
    #expect(one.output.split(separator: "\n").count == 3 + 7, "\(one)")
    #expect(one.output.contains("done, 1.50 min"), "\(one)")
    let needed = try run(
      "cifar10", ["images", "out", "--list", "--only", "masking-random-40", "--seeds", "7"], in: workshop)
    #expect(needed.output.contains("\npeco                   seed 7  tokenizer       to do\n"), "\(needed)")
  }

  @Test(arguments: [
    (["images", "out", "--only", "peko"], "--only"), (["images", "out", "--minutes", "0"], "--minutes"),
    (["images", "out", "--seeds", "a"], "--seeds"), (["nothing", "out"], "no images at nothing"),
    (["images", "out", "--from", "nowhere"], "cannot read nowhere"),
    (["images", "out", "--from", "images/none", "--steps", "2"], "--from"),
    (["images", "out", "--set", "x"], "KEY=VALUE"), (["images"], "Usage"),
    (["images", "out", "--fast"], "unknown option"),
  ])
  func `what cannot be is refused`(arguments: [String], token: String) throws {
    let workshop = try Workshop()
    try workshop.write("", to: "images/none")
    let run = try run("cifar10", arguments, in: workshop)
    #expect(run.exitCode == 64 && run.errors.contains(token), "\(run)")
  }

  @Test func `a program built here is brought up to date first`() throws {
    let workshop = try Workshop()
    let launch = URL(filePath: Self.folder).deletingLastPathComponent().path
    try workshop.write("#!/bin/sh\necho old\n", to: "project/.build/release/peco")
    try FileManager.default.copyItem(atPath: launch, toPath: workshop.path("project/launch"))
    // In place of a compiler.
    try workshop.write(
      """
      #!/bin/sh
      case $1 in
        --version) echo "Swift version 6.0" ;;
        build) echo "#!/bin/sh\necho new" >.build/release/peco ;;
      esac
      """, to: "bin/swift")
    for program in ["project/.build/release/peco", "bin/swift"] {
      try FileManager.default.setAttributes(
        [.posixPermissions: 0o755], ofItemAtPath: workshop.path(program))
    }
    let run = try workshop.run(
      [
        "bash", "-c",
        """
        source project/launch/lib/setup.sh
        source launch/lib/steps.sh
        ensure_dependencies() { :; }
        ensure_peco
        echo "$(peco), $version"
        """,
      ], environment: ["PATH": workshop.path("bin") + ":/usr/bin:/bin"])
    #expect(run.output == "new, new\n", "\(run)")
  }

  @Test func `a checkout that was moved builds again`() throws {
    let workshop = try Workshop()
    let launch = URL(filePath: Self.folder).deletingLastPathComponent().path
    try FileManager.default.copyItem(atPath: launch, toPath: workshop.path("project/launch"))
    try workshop.write("", to: "project/.build/x/release/ModuleCache/old.pcm")
    // A compiler that finds the modules of another place.
    try workshop.write(
      """
      #!/bin/sh
      if [ -e .build/x/release/ModuleCache ]; then
        echo "error: PCH was compiled with module cache path '/old', but the path is currently '/new'"
        exit 1
      fi
      """, to: "bin/swift")
    try FileManager.default.setAttributes(
      [.posixPermissions: 0o755], ofItemAtPath: workshop.path("bin/swift"))
    let run = try workshop.run(
      ["bash", "-c", "source project/launch/lib/setup.sh; build --product peco && echo built"],
      environment: ["PATH": workshop.path("bin") + ":/usr/bin:/bin"])
    #expect(run.exitCode == 0 && run.output == "built\n", "\(run)")
  }

  @Test(.enabled(if: FileManager.default.fileExists(atPath: "/proc/self/status")))
  func `the minutes are over also where there is no ps`() throws {
    let workshop = try Workshop()
    let run = try workshop.run(
      [
        "bash", "-c",
        """
        source "\(Self.folder)/../lib/steps.sh"
        ps() { return 127; }
        sleep() { command sleep 0.1; }
        trap 'kill $!; echo over; exit 75' USR1
        stop_after_minutes 1
        command sleep 10 &
        wait $!
        """,
      ], hearsSignals: true)
    #expect(run.exitCode == 75 && run.output == "over\n", "\(run)")
  }

  @Test func `results of elsewhere are taken, and what is needed of their runs is made again`() throws {
    let workshop = try Workshop()
    try workshop.write(
      """
      {"row": "peco", "seed": 0, "step": "tokenizer", "minutes": 1.00, "version": "theirs", "result": {}}
      {"row": "peco", "seed": 0, "step": "tokens", "minutes": 2.00, "version": "theirs", "result": {}}\n
      """, to: "theirs.jsonl")
    try workshop.write("", to: "images/none")
    let list = try run(
      "cifar10", ["images", "out", "--list", "--only", "peco", "--from", "theirs.jsonl"], in: workshop)
    // Pretraining needs the tokenizer's run, of which only the result was told.
    #expect(list.output.split(separator: "\n").filter { $0.contains("done, ") }.count == 1, "\(list)")
    #expect(list.output.contains("peco                   seed 0  tokenizer       to do\n"), "\(list)")
    // The folder is one of trainings as configured from then on.
    let shorter = try run("cifar10", ["images", "out", "--list", "--steps", "2"], in: workshop)
    #expect(shorter.exitCode == 1 && shorter.errors.contains("other settings"), "\(shorter)")

    try workshop.write(
      """
      source "\(Self.folder)/../lib/setup.sh"
      source "\(Self.folder)/../lib/steps.sh"
      cd "$OLDPWD"
      needs() { [[ $3 != tokens && $3 != pretrain ]] || echo "$1 $2 tokenizer"; }
      output_of() { echo "runs/$1/$2/$3"; }
      step_tokenizer() { mkdir -p runs/peco/0/tokenizer && echo '{}' >"$answer"; }
      step_tokens() { echo '{}' >"$answer"; }
      step_pretrain() { ls -d runs/peco/0/tokenizer >&2 && echo '{}' >"$answer"; }
      begin_experiment
      take_results "$1"
      ensure peco 0 tokens && ensure peco 0 pretrain && ensure peco 0 pretrain
      take_results "$1"
      cat results/*
      """, to: "ours.sh")
    let ours = try workshop.run(["bash", "ours.sh", "theirs.jsonl"])
    #expect(ours.exitCode == 0, "\(ours)")
    // The tokens were told; the tokenizer was made for pretraining, and is not taken from theirs once it has begun
    // here.
    let did = ours.errors.split(separator: "\n").compactMap { $0.split(separator: " ").dropFirst(5).first }
    #expect(did == ["tokenizer", "pretrain"], "\(ours)")
    #expect(ours.output.components(separatedBy: "theirs").count == 2, "\(ours)")

    try workshop.write("{}\n", to: "other.jsonl")
    let other = try run("cifar10", ["images", "out", "--list", "--from", "other.jsonl"], in: workshop)
    #expect(other.exitCode == 1 && other.errors.contains("other.jsonl:1"), "\(other)")
  }

  @Test func `the tables have means and deviations over seeds`() throws {
    let workshop = try Workshop()
    for (seed, top1, minutes) in [(0, "0.5", "2.00"), (1, "0.7", "4.00")] {
      try workshop.write(
        """
        {"row": "peco", "seed": \(seed), "step": "finetune", "minutes": \(minutes), "version": "v", "result": \
        {"run": "r", "loss": 1, "evaluation_top1": \(top1)}}\n
        """, to: "out/results/peco.\(seed).finetune.json")
    }
    try workshop.write(
      """
      {"row": "peco", "seed": 0, "step": "reconstructions", "minutes": 1.00, "version": "v", "result": \
      {"original_top1": 0.9, "reconstruction_top1": 0.25, "psnr": 21.54, "codebook_perplexity": 30.0, "codebook_usage": 0.5}}\n
      """, to: "out/results/peco.0.reconstructions.json")
    try workshop.write(
      """
      {"row": "masking-random-60", "seed": 1, "step": "finetune", "minutes": 1.00, "version": "v", "result": \
      {"evaluation_top1": 0.4}}\n
      """, to: "out/results/masking-random-60.1.finetune.json")
    let run = try run("table", ["out"], in: workshop)
    #expect(run.exitCode == 0, "\(run)")
    #expect(run.output.contains("over 2 seeds"), "\(run)")
    #expect(run.output.contains("| PeCo | 60.00 ± 14.14 | — | — |"), "\(run)")
    #expect(run.output.contains("| PeCo | — | 25.00 | 21.5 | 50.00 | 30.0 |"), "\(run)")
    #expect(run.output.contains("; seed 1.\n"), "\(run)")
    #expect(run.output.contains("| blockwise, 40 % | 70.00 | — | — |"), "\(run)")
    #expect(run.output.contains("| random, 60 % | 40.00 | — | — |"), "\(run)")
    #expect(run.output.contains("| PeCo | — | — | 2.0 / 4.0 |"), "\(run)")
    #expect(run.output.contains("| random, 60 % | — | — | 1.0 |"), "\(run)")
    #expect(try self.run("table", ["nowhere"], in: workshop).exitCode == 1)
  }

  @Test func `a row is done step by step, each once`() throws {
    let workshop = try Workshop()
    for (part, count) in [("train", 60), ("test", 20)] {
      let drawn = try workshop.peco([
        "dataset", "synthesize", "--folder", "images/\(part)", "--count", "\(count)", "--size", "32",
      ])
      #expect(drawn.exitCode == 0, "\(drawn)")
    }
    let arguments = [
      "images", "out", "--only", "supervised", "--seeds", "3", "--steps", "2", "--ranks", "1", "--threads",
      "1",
      "--set", "training.global_batch_size=4",
    ]
    let first = try run("cifar10", arguments, in: workshop)
    #expect(first.exitCode == 0, "\(first)")
    #expect(first.output.contains("| supervised, no pretraining | "), "\(first)")
    let result = try String(
      contentsOfFile: workshop.path("out/results/supervised.3.finetune-10.json"), encoding: .utf8)
    let object = try JSONSerialization.jsonObject(with: Data(result.utf8)) as? [String: Any]
    #expect((object?["result"] as? [String: Any])?["steps"] as? Int == 2, "\(result)")
    #expect((object?["result"] as? [String: Any])?["evaluation_top1"] is Double, "\(result)")
    // One step is missing, and it alone is done again: its run is there, and has nothing left to do.
    try FileManager.default.removeItem(atPath: workshop.path("out/results/supervised.3.finetune.json"))
    let second = try run("cifar10", arguments, in: workshop)
    #expect(second.exitCode == 0, "\(second)")
    #expect(
      second.errors.contains("seed 3: finetune (") && !second.errors.contains("finetune-10 ("), "\(second)")
    let log = try String(
      contentsOfFile: workshop.path("out/logs/supervised.3.finetune.log"), encoding: .utf8)
    #expect(log.contains("nothing is left to do"), "\(log)")
    let drawn = try run("figures", ["out", "drawn", "--seed", "3"], in: workshop)
    #expect(drawn.exitCode == 0, "\(drawn)")
    let figures = try FileManager.default.contentsOfDirectory(atPath: workshop.path("drawn"))
    #expect(figures == ["attention-supervised.png"], "\(drawn)")
    let other = try run("cifar10", arguments + ["--steps", "3"], in: workshop)
    #expect(other.exitCode == 1 && other.errors.contains("other settings"), "\(other)")

    // Results of elsewhere are not mixed into these few steps; and of those there is nothing to draw.
    try workshop.write(
      """
      {"row": "peco", "seed": 3, "step": "tokenizer", "minutes": 1.00, "version": "theirs", "result": {}}\n
      """, to: "theirs.jsonl")
    let mixed = try run("cifar10", ["images", "out", "--list", "--from", "theirs.jsonl"], in: workshop)
    #expect(mixed.exitCode == 1 && mixed.errors.contains("other settings"), "\(mixed)")
    let result3 = workshop.path("out/results/peco.3.tokenizer.json")
    #expect(!FileManager.default.fileExists(atPath: result3))
    try FileManager.default.copyItem(atPath: workshop.path("theirs.jsonl"), toPath: result3)
    #expect(try run("figures", ["out", "drawn", "--seed", "3"], in: workshop).exitCode == 0)
  }
}
