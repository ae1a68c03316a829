import Foundation
import Testing

/// File systems without locks, as those of some clusters: each call of `flock` fails with the same number.
@Suite(.serialized, .enabled(if: FileManager.default.fileExists(atPath: "/proc/self/status")))
struct NoLocksTests {
  /// `peco` where no file can be locked.
  private struct Cluster {
    let workshop: Workshop
    private let library: String

    init() throws {
      workshop = try Workshop()
      library = workshop.path("flock.so")
      try workshop.write(
        """
        #include <errno.h>
        #include <stdlib.h>
        int flock(int file, int operation) {
          (void)file;
          (void)operation;
          errno = atoi(getenv("FLOCK_ERRNO"));
          return -1;
        }
        """, to: "flock.c")
      let made = try workshop.run(["cc", "-shared", "-fPIC", "-o", library, "flock.c"])
      guard made.exitCode == 0 else { throw Unexpected(made) }
    }

    func run(_ command: [String], code: Int32, locking: String? = nil) throws -> PecoRun {
      var environment = ["LD_PRELOAD": library, "FLOCK_ERRNO": "\(code)"]
      environment["HDF5_USE_FILE_LOCKING"] = locking
      return try workshop.run(command, environment: environment)
    }

    func peco(_ arguments: [String], code: Int32, locking: String? = nil) throws -> PecoRun {
      try run([try Workshop.pecoPath()] + arguments, code: code, locking: locking)
    }
  }

  private static let prepare = [
    "dataset", "synthesize", "--output", "images.h5", "--count", "24", "--size", "40",
  ]
  private static let train = [
    "tokenizer", "train", "--config", "tokenizer.yaml", "--run", "tokenizer", "--set", "training.steps=2",
    "checkpoint.every_steps=1",
  ]

  @Test(arguments: [ENOLCK, EOPNOTSUPP, ENOSYS, EAGAIN])
  func `everything is written and read, and a run warns that nothing keeps a second one out`(code: Int32)
    throws
  {
    let cluster = try Cluster()
    let workshop = cluster.workshop
    try workshop.write(Workshop.tokenizerConfiguration, to: "tokenizer.yaml")
    try workshop.write(Workshop.pretrainConfiguration, to: "pretrain.yaml")
    let reason = String(cString: strerror(code))
    for arguments in [
      Self.prepare, ["dataset", "verify", "images.h5"], Self.train,
      ["tokenizer", "encode", "--tokenizer", "tokenizer", "--data", "images.h5", "--output", "tokens.h5"],
      [
        "pretrain", "--config", "pretrain.yaml", "--run", "pretrain", "--set", "tokens.file=tokens.h5",
        "training.steps=1",
      ],
      ["features", "--checkpoint", "pretrain", "--data", "images.h5", "--output", "features.h5"],
    ] {
      let run = try cluster.peco(arguments, code: code)
      #expect(run.exitCode == 0, "\(arguments): \(run)")
      let isRun = arguments.contains("--run")
      #expect(run.errors.contains("has no locks: \(reason);") == isRun, "\(arguments): \(run)")
    }
    // The same command goes on, and nothing is left of what was tried.
    let again = try cluster.peco(Self.train + ["training.steps=3"], code: code)
    #expect(again.exitCode == 0 && again.errors.contains("going on from "), "\(again)")
    for folder in ["", "tokenizer", "tokenizer/checkpoints"] {
      let names = try FileManager.default.contentsOfDirectory(atPath: workshop.path(folder))
      #expect(names.allSatisfy { !$0.contains(".partial-") }, "\(names)")
    }
  }

  @Test func `who was in the run's directory before is told`() throws {
    let cluster = try Cluster()
    try cluster.workshop.prepare()
    try cluster.workshop.write("process 7 on node01\n", to: "tokenizer/.lock")
    let run = try cluster.peco(Self.train, code: ENOLCK)
    #expect(run.exitCode == 0, "\(run)")
    #expect(run.errors.contains("No locks available (process 7 on node01);"), "\(run)")
  }

  @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/flock")))
  func `an experiment begins with a warning`() throws {
    let cluster = try Cluster()
    let launch = URL(filePath: LauncherTests.script).deletingLastPathComponent().path
    try cluster.workshop.write(
      """
      folder=$PWD
      source "\(launch)/lib/setup.sh"
      source "\(launch)/lib/steps.sh"
      cd "$folder"
      begin_experiment settings
      echo begun
      """, to: "begin.sh")
    let run = try cluster.run(["bash", "begin.sh"], code: ENOLCK)
    #expect(run.exitCode == 0 && run.output == "begun\n", "\(run)")
    #expect(run.errors.contains("has no locks") && !run.errors.contains("waiting"), "\(run)")
  }

  @Test(arguments: ["TRUE", "BEST_EFFORT"])
  func `a lock that HDF5's variable asks for is not gone without`(locking: String) throws {
    let cluster = try Cluster()
    try cluster.workshop.prepare()
    let write = try cluster.peco(Self.prepare, code: ENOLCK, locking: locking)
    expectError(
      write, "images.h5: cannot create the file: its file system has no locks (No locks available)",
      "HDF5_USE_FILE_LOCKING=\(locking) asks for one; set HDF5_USE_FILE_LOCKING=FALSE")
    let read = try cluster.peco(["dataset", "info", "images.h5"], code: ENOLCK, locking: locking)
    expectError(
      read, "images.h5: cannot open as HDF5: its file system has no locks", "HDF5_USE_FILE_LOCKING=FALSE")
    for arguments in [Self.prepare, ["dataset", "info", "images.h5"]] {
      let run = try cluster.peco(arguments, code: ENOLCK, locking: "FALSE")
      #expect(run.exitCode == 0, "\(run)")
    }
  }
}
