import Foundation
import Operations
import Tensors

/// What has to be settled before any library starts its threads or MPI starts.
enum Startup {
  /// Makes the libraries use the processor well, starting this program anew where they read their settings
  /// only once, when they are loaded.
  ///
  /// `PECO_KEEP_ENVIRONMENT=1` leaves everything as it is.
  static func prepare() {
    MatrixMultiply.useSingleThreadedKernels()
    // A limit on file sizes is to be an error of the write that met it, as a full disk is.
    signal(SIGXFSZ, SIG_IGN)
    let environment = ProcessInfo.processInfo.environment
    guard environment[marker] == nil else { return }
    // OpenMP's threads, which serve the convolutions alone, must not spin while other threads compute.
    let settings = ["GOMP_SPINCOUNT": "2000", "OPENBLAS_NUM_THREADS": "1"]
      .filter { environment[$0.key] == nil }
    guard !settings.isEmpty else { return }
    for (name, value) in settings { setenv(name, value, 1) }
    setenv(marker, "1", 1)
    let arguments = CommandLine.arguments.map { strdup($0) } + [nil]
    // Returns only if it fails; then the program goes on with what it has, and `peco doctor` tells.
    let program =
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
      ?? CommandLine.arguments[0]
    execv(program, arguments)
  }

  private static let marker = "PECO_KEEP_ENVIRONMENT"
}

extension Startup {
  /// Before an error that every rank meets alike (a wrong option) is printed: holds all ranks but the first
  /// back, so that it is read once.
  static func letFirstRankSpeak() {
    let environment = ProcessInfo.processInfo.environment
    let rank =
      environment["OMPI_COMM_WORLD_RANK"] ?? environment["PMIX_RANK"] ?? environment["SLURM_PROCID"] ?? "0"
    guard rank != "0" else { return }
    let silence = open("/dev/null", O_WRONLY)
    for descriptor in [STDERR_FILENO, STDOUT_FILENO] { dup2(silence, descriptor) }
    sleep(2)
  }
}
