import Foundation

#if canImport(CDispatch)
  // On Linux the compiler finds `pthread_attr_t` in this module.
  import CDispatch
#endif

/// Threads for work that something else waits for.
///
/// Foundation's `Thread` reports no error where the system has no more threads, and a waiter would wait forever.
public enum WorkerThread {
  /// Starts a thread that ends when `body` returns. Throws where the system gives none.
  ///
  /// - Parameters:
  ///   - name: What it is for; the error names it.
  ///   - stackSize: In bytes.
  ///   - body: What the thread does.
  public static func start(
    _ name: String, stackSize: Int = 8 << 20, _ body: @escaping @Sendable () -> Void
  ) throws {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    pthread_attr_setstacksize(&attributes, stackSize)

    let job = Unmanaged.passRetained(Job(body))
    #if canImport(Darwin)
      var thread: pthread_t?
    #else
      var thread = pthread_t()
    #endif
    let code = pthread_create(&thread, &attributes, { WorkerThread.run($0) }, job.toOpaque())
    guard code == 0 else {
      job.release()
      throw WorkerThreadError(name: name, reason: String(cString: strerror(code)))
    }
  }

  private final class Job: Sendable {
    let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }

  #if canImport(Darwin)
    private static func run(_ job: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
      begin(job)
      return nil
    }
  #else
    private static func run(_ job: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
      if let job { begin(job) }
      return nil
    }
  #endif

  private static func begin(_ opaque: UnsafeMutableRawPointer) {
    Unmanaged<Job>.fromOpaque(opaque).takeRetainedValue().body()
  }
}

/// The system gave no thread.
public struct WorkerThreadError: Error, CustomStringConvertible {
  let name: String
  let reason: String

  public var description: String {
    "the system gives no thread for \(name): \(reason); ask for fewer threads or workers, or raise the limit "
      + "(ulimit -u, or the job's limit of processes)"
  }
}
