import Foundation
import Testing

/// `launch/mpirun`: what it makes of a machine and of host files, and what it says when ranks end.
@Suite(.serialized) struct LauncherTests {
  static let script = URL(filePath: #filePath)
    .deletingLastPathComponent().appending(path: "../../launch/mpirun").standardizedFileURL.path

  /// A machine, as `lscpu` shows it.
  struct Machine: Sendable {
    var sockets = 1
    var domainsPerSocket = 1
    var coresPerDomain = 1
    var threadsPerCore = 1

    static let large = Machine(sockets: 2, domainsPerSocket: 2, coresPerDomain: 8, threadsPerCore: 2)
    static let small = Machine(coresPerDomain: 8)

    /// The lines of `lscpu -p=CPU,CORE,SOCKET,NODE`. Every processor has the number `cpu`, on which the test may run.
    func lines(cpu: String) -> [String] {
      (0..<threadsPerCore).flatMap { _ in
        (0..<sockets * domainsPerSocket).flatMap { domain in
          (0..<coresPerDomain).map { core in
            "\(cpu),\(domain * coresPerDomain + core),\(domain / domainsPerSocket),\(domain)"
          }
        }
      }
    }
  }

  private func launch(
    _ arguments: [String], on machine: Machine? = nil, in workshop: Workshop, others: [String] = []
  ) throws -> PecoRun {
    var environment: [String: String] = [:]
    if let machine {
      let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
      let allowed = try #require(
        status.split(separator: "\n").first { $0.hasPrefix("Cpus_allowed_list:") }?.split(separator: "\t")
          .last)
      let cpu = String(allowed.prefix { $0.isNumber })
      let lines = ["# CPU,CORE,SOCKET,NODE"] + machine.lines(cpu: cpu) + others
      try workshop.write("#!/bin/sh\ncat <<'END'\n\(lines.joined(separator: "\n"))\nEND\n", to: "bin/lscpu")
      try FileManager.default.setAttributes(
        [.posixPermissions: 0o755], ofItemAtPath: workshop.path("bin/lscpu"))
      let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
      environment["PATH"] = workshop.path("bin") + ":" + path
    }
    return try workshop.run(["bash", Self.script] + arguments, environment: environment)
  }

  @Test(
    .enabled(if: FileManager.default.fileExists(atPath: "/proc/self/status")),
    arguments: [
      // One rank a NUMA domain, all of its cores; hyperthreads do not count.
      (Machine.large, "", "-np 4 --oversubscribe --map-by ppr:1:numa:PE=8 --bind-to core", 8),
      (.large, "--ranks-per-node 8", "-np 8 --oversubscribe --map-by ppr:2:numa:PE=4 --bind-to core", 4),
      (.large, "--threads 6", "-np 4 --oversubscribe --map-by ppr:1:numa:PE=6 --bind-to core", 6),
      // Another job of the same size would be bound to the same cores.
      (.large, "--threads 4", "-np 4 --oversubscribe --map-by ppr:1:numa --bind-to numa", 4),
      (.large, "-n 1 --threads 8", "-np 1 --oversubscribe --map-by ppr:1:node --bind-to none", 8),
      // Numbers that do not fit the domains are bound all the same, without sharing cores.
      (.large, "-n 3", "-np 3 --oversubscribe --map-by ppr:3:node:PE=10 --bind-to core", 10),
      (.large, "--ranks-per-node 2", "-np 2 --oversubscribe --map-by ppr:2:node:PE=16 --bind-to core", 16),
      // More threads than cores, and the whole node for one rank: the kernel places them.
      (.large, "--threads 16", "-np 4 --oversubscribe --map-by ppr:4:node --bind-to none", 16),
      (.large, "-n 1", "-np 1 --oversubscribe --map-by ppr:1:node --bind-to none", 32),
      (.small, "", "-np 1 --oversubscribe --map-by ppr:1:node --bind-to none", 8),
      (.small, "-n 3", "-np 3 --oversubscribe --map-by ppr:3:numa:PE=2 --bind-to core", 2),
      // Host files: three hosts, one of them twice.
      (.large, "--hostfile hosts", "-np 12 --oversubscribe --map-by ppr:1:numa:PE=8 --bind-to core", 8),
      (.large, "--hostfile hosts -n 5", "-np 5 --oversubscribe --map-by ppr:2:node:PE=16 --bind-to core", 16),
      (.small, "--hostfile hosts", "-np 3 --oversubscribe --map-by ppr:1:node --bind-to none", 8),
    ] as [(Machine, String, String, Int)])
  func `ranks, threads and binding follow the machine`(
    machine: Machine, options: String, placement: String, threads: Int
  ) throws {
    let workshop = try Workshop()
    try workshop.write("# ours\na\nb slots=2\n\nc slots=64 max_slots=64\nb\n", to: "hosts")
    let arguments = options.split(separator: " ").map(String.init)
    let run = try launch(arguments + ["--dry-run", "--", "true"], on: machine, in: workshop)
    #expect(run.exitCode == 0, "\(run)")
    let hosts = options.contains("--hostfile") ? " --hostfile hosts" : ""
    #expect(
      run.output.hasPrefix(
        "mpirun --quiet \(placement) -x PECO_THREADS=\(threads) -x OMP_NUM_THREADS=\(threads)\(hosts)"),
      "\(run)")
  }

  @Test(.enabled(if: FileManager.default.fileExists(atPath: "/proc/self/status")))
  func `cores that this process may not use do not count`() throws {
    let workshop = try Workshop()
    let run = try launch(
      ["--dry-run", "--", "true"], on: .small, in: workshop, others: ["99998,8,1,1", "99999,9,1,1"])
    #expect(run.output.contains("-np 1 "), "\(run)")
    #expect(run.output.contains("PECO_THREADS=8 "), "\(run)")
  }

  @Test(arguments: [
    (["-n", "0"], 64, "-n takes a positive number"), (["--hostfile", "nowhere"], 1, "nowhere"),
    (["--hostfile", "none"], 1, "names no host"), (["--hostfile", "."], 1, "cannot read"),
    (["--hostfile", "hosts", "-n", "9", "--ranks-per-node", "4"], 64, "do not fit"),
  ])
  func `what cannot be is refused`(options: [String], code: Int32, token: String) throws {
    let workshop = try Workshop()
    try workshop.write("# nobody\n", to: "none")
    try workshop.write("a\nb\n", to: "hosts")
    let run = try launch(options + ["--dry-run", "--", "true"], in: workshop)
    #expect(run.exitCode == code, "\(run)")
    #expect(run.errors.contains(token), "\(run)")
  }

  @Test func `a host file as other systems write it is read`() throws {
    let workshop = try Workshop()
    try workshop.write(
      "\u{FEFF}# ours\r\nlocalhost slots = 2 \t\r\n\r\n  // the same\r\nlocalhost\tmax_slots=4 # twice\r\n",
      to: "hosts")
    let temporary = ["TMPDIR": workshop.path("temporary")]
    try FileManager.default.createDirectory(
      atPath: workshop.path("temporary"), withIntermediateDirectories: true)
    let run = try workshop.run(
      ["bash", Self.script, "--hostfile", "hosts", "-n", "2", "--threads", "1", "--", "echo", "here"],
      environment: temporary)
    #expect(run.exitCode == 0 && run.output == "here\nhere\n", "\(run)")
    #expect(run.errors.contains("2 rank(s) on 1 host(s)"), "\(run)")
    // The copy that mpirun reads is gone.
    let left = try FileManager.default.contentsOfDirectory(atPath: workshop.path("temporary"))
    #expect(left.allSatisfy { !$0.hasPrefix("tmp.") }, "\(left)")
  }

  @Test(arguments: [
    ("a\nb slot=2\n", "hosts:2: found 'slot=2', expected slots=N"),
    ("\u{FEFF}a\r\n\r\n# c\r\nb c\r\n", "hosts:4: found 'c', expected slots=N"),
    ("a slots=two\n", "hosts:1: found 'slots=two', expected slots=N"),
    ("a\n[b]\n", "hosts:2: found '[b]', expected the name or address of a host"),
  ])
  func `an unknown word in a host file is named`(text: String, words: String) throws {
    let workshop = try Workshop()
    try workshop.write(text, to: "hosts")
    let run = try launch(["--hostfile", "hosts", "--", "echo", "here"], in: workshop)
    #expect(run.exitCode == 1 && run.output.isEmpty, "\(run)")
    #expect(run.errors.contains("launch/mpirun: " + words), "\(run)")
    #expect(!run.errors.contains("ORTE"), "\(run)")
  }

  @Test func `a program that is not there is named`() throws {
    let workshop = try Workshop()
    let run = try launch(["-n", "2", "--threads", "1", "--", "./nothing"], in: workshop)
    #expect(run.exitCode != 0)
    #expect(run.errors.contains("there is no ./nothing"), "\(run)")
  }

  @Test func `a rank that was killed is told`() throws {
    let workshop = try Workshop()
    let run = try launch(["-n", "2", "--threads", "1", "--", "bash", "-c", "kill -9 $$"], in: workshop)
    #expect(run.exitCode == 137, "\(run)")
    #expect(run.errors.contains("signal 9"), "\(run)")
  }

  @Test(arguments: ["INT", "TERM", "USR1"])
  func `a signal asks the ranks to leave, and their code is passed on`(signal: String) throws {
    let workshop = try Workshop()
    try workshop.write(
      """
      trap 'echo asked; exit 75' USR1
      touch here-$OMPI_COMM_WORLD_RANK
      while :; do sleep 0.1; done
      """, to: "rank.sh")
    // In a job of its own, because a shell's background processes ignore Ctrl-C.
    try workshop.write(
      """
      set -m
      bash "\(Self.script)" -n 2 --threads 1 -- bash rank.sh &
      until [[ -e here-0 && -e here-1 ]]; do sleep 0.1; done
      kill -\(signal) $!
      wait $!
      """, to: "job.sh")
    let run = try workshop.run(["bash", "job.sh"], hearsSignals: true)
    #expect(run.exitCode == 75, "\(run)")
    #expect(run.output.split(separator: "\n") == ["asked", "asked"], "\(run)")
    #expect(!run.errors.contains("ended by signal"), "\(run)")
  }
}
