import Foundation
import Synchronization

/// Remembers that the operating system or the cluster's scheduler asked this process to end, so that the loop can
/// finish its step, write a checkpoint and leave.
public enum StopSignal {
  private static let received = Atomic<Int32>(0)

  /// Starts listening for SIGINT, SIGTERM and SIGUSR1. A second Ctrl-C ends the process at once; the others a
  /// scheduler repeats and mixes: Slurm sends SIGTERM to ranks that are leaving after SIGUSR1.
  public static func listen() {
    // A launcher may have left them blocked.
    var numbers = sigset_t()
    sigemptyset(&numbers)
    for number in [SIGINT, SIGTERM, SIGUSR1] {
      sigaddset(&numbers, number)
      signal(number) { number in
        if StopSignal.received.exchange(number, ordering: .relaxed) != 0, number == SIGINT {
          _exit(128 + number)
        }
      }
    }
    pthread_sigmask(SIG_UNBLOCK, &numbers, nil)
  }

  /// The signal that has arrived, if any.
  public static var pending: Int32? {
    let number = received.load(ordering: .relaxed)
    return number == 0 ? nil : number
  }

  /// Takes back what arrived; for tests.
  public static func clear() { received.store(0, ordering: .relaxed) }
}
