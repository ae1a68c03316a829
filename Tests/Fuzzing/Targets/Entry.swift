import Foundation

// libFuzzer brings `main`, and calls this with inputs that it makes of those of the corpus: see ../README.md.

/// Gives an input to the target that the environment names, and sees to what is left behind.
@_cdecl("LLVMFuzzerTestOneInput")
public func parseOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  do {
    try target.parse(UnsafeRawBufferPointer(start: bytes, count: count))
  } catch {
    // What an error says is made of what was read, and must not crash either.
    precondition(!"\(error)".isEmpty)
  }
  // What the first inputs open for good, such as a library its tables, is no leak.
  runs += 1
  if runs == 16 { free = freeDescriptor() }
  if runs > 16 { precondition(freeDescriptor() == free, "a descriptor was left open") }
  return 0
}

private let target: FuzzTarget = {
  let wanted = ProcessInfo.processInfo.environment["PECO_FUZZ_TARGET"]
  guard let target = FuzzTarget.all.first(where: { $0.name == wanted }) else {
    print("PECO_FUZZ_TARGET must be one of \(FuzzTarget.all.map(\.name).joined(separator: ", "))")
    exit(64)
  }
  atexit { Scratch.remove() }
  return target
}()

/// The lowest descriptor that is free: it grows where one is not closed.
private func freeDescriptor() -> Int32 {
  let descriptor = dup(0)
  close(descriptor)
  return descriptor
}
private nonisolated(unsafe) var free: Int32 = -1
private nonisolated(unsafe) var runs = 0
