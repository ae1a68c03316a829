import Foundation

/// What is meant where the system gives no lock on a file.
enum LockRefusal: Equatable {
  /// Another process has it.
  case held
  /// Nobody can have one: the file system, or its server, has no locks. In the system's words.
  case noLocks(String)

  /// Nil where the number says something else.
  ///
  /// Some network file systems call every lock held. So one is asked for on a file beside it that nobody else knows.
  init?(code: Int32, of path: String) {
    switch code {
    case ENOLCK, EOPNOTSUPP, ENOTSUP, ENOSYS: self = .noLocks(SystemFailure(code: code).reason)
    case EWOULDBLOCK, EAGAIN, EACCES:
      self = Self.knowsLocks(beside: path) ? .held : .noLocks(SystemFailure(code: code).reason)
    default: return nil
    }
  }

  /// Whether a file that is made for it can be locked. Where no file can be made, yes: then nothing is known.
  private static func knowsLocks(beside path: String) -> Bool {
    let probe = "\(FileSystem.folder(of: path))/.\(UUID().uuidString).partial-\(getpid())"
    let descriptor = open(probe, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { return true }
    defer {
      close(descriptor)
      unlink(probe)
    }
    return FileLock.lock(descriptor) == nil
  }

  /// The processes of this machine that hold a lock on a file, in parentheses; nothing where none is known.
  static func holders(of path: String) -> String {
    var information = stat()
    guard stat(path, &information) == 0,
      let table = FileManager.default.contents(atPath: "/proc/locks")
    else { return "" }
    // "1: FLOCK  ADVISORY  WRITE 708 08:01:131 0 EOF": the process, and the device and number of the file. Where file
    // systems lie over one another the device may be another, and the file is not found.
    let device = information.st_dev
    let (major, minor) = ((device >> 8) & 0xFFF, (device & 0xFF) | ((device >> 12) & 0xFFF00))
    let file = "\(hexadecimal(Int(major))):\(hexadecimal(Int(minor))):\(information.st_ino)"
    let processes = String(decoding: table, as: UTF8.self).split(separator: "\n").compactMap {
      line -> Int32? in
      let words = line.split(separator: " ")
      // Whoever waits for a lock has an arrow before it.
      guard words.count > 5, words[1] != "->", words[5] == file else { return nil }
      return Int32(words[4])
    }
    let names = Set(processes.filter { $0 > 0 }).sorted().map { process in
      let name = (try? String(contentsOfFile: "/proc/\(process)/comm", encoding: .utf8)) ?? ""
      return ["process \(process)", name.trimmingCharacters(in: .whitespacesAndNewlines)]
        .filter { !$0.isEmpty }.joined(separator: ", ")
    }
    return names.isEmpty ? "" : " (\(names.joined(separator: "; ")))"
  }

  private static func hexadecimal(_ number: Int) -> String {
    let digits = String(number, radix: 16)
    return digits.count < 2 ? "0" + digits : digits
  }
}
