import Foundation
import Threads

/// Remembers that the operating system or the cluster's scheduler asked this process to end, so that the loop can
/// finish its step, write a checkpoint and leave.
public enum StopSignal {
  /// What the signals cancel: the work of this process.
  public static let cancellation = Cancellation()

  /// Starts listening for SIGINT, SIGTERM and SIGUSR1. A second Ctrl-C ends the process at once; the others a
  /// scheduler repeats and mixes: Slurm sends SIGTERM to ranks that are leaving after SIGUSR1.
  public static func listen() {
    // It is made before a handler wants it.
    _ = cancellation
    // A launcher may have left them blocked.
    var numbers = sigset_t()
    sigemptyset(&numbers)
    for number in [SIGINT, SIGTERM, SIGUSR1] {
      sigaddset(&numbers, number)
      signal(number) { number in
        if StopSignal.cancellation.cancel(signal: number), number == SIGINT {
          _exit(128 + number)
        }
      }
    }
    pthread_sigmask(SIG_UNBLOCK, &numbers, nil)
  }
}
