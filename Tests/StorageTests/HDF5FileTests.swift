import Foundation
import Storage
import Synchronization
import Testing

@Suite struct HDF5FileTests {
  @Test func namesAreListedAndLookedUp() throws {
    let file = try HDF5File(opening: fixture("h5py.h5"))
    #expect(try file.list("model") == ["blocks", "weight"])
    #expect(try file.list("/model/blocks/") == ["0"])
    #expect(try file.listRecursively("model") == ["model/blocks/0/bias", "model/weight"])
    #expect(try file.listRecursively().contains("labels"))
    #expect(try file.exists("model/blocks/0/bias"))
    #expect(try file.exists("/model"))
    #expect(try !file.exists("model/blocks/1/bias"))
    #expect(try !file.exists("labels/below"))
  }

  @Test func theTimeOfWritingIsNotInTheFile() throws {
    try withTemporaryFolder { folder in
      let contents = try ["now", "later"].map { name in
        let path = "\(folder)/\(name).h5"
        try HDF5File.atomicallyWrite(to: path) { file in
          try file.setAttribute("format", "test")
          try file.write([1, 2, 3] as [Float], shape: [3], to: "a/b/values", checksum: true)
          try file.write([4, 5] as [Float], shape: [2], to: "plain")
          try file.write(strings: ["x", "y"], to: "a/names")
          try file.setAttribute("unit", "none", on: "a")
        }
        // HDF5 counts seconds.
        if name == "now" { sleep(1) }
        return try Data(contentsOf: URL(filePath: path))
      }
      #expect(contents[0] == contents[1])
    }
  }

  @Test func missingObjectIsAnErrorThatNamesItsNeighbors() throws {
    let path = fixture("h5py.h5")
    let file = try HDF5File(opening: path)
    let error = try #require(storageError { try file.read("model/wait", as: Float.self) })
    #expect(
      error.description
        == "\(path): model/wait: no such object in this file; 'model' holds blocks, weight")
    #expect(storageError { try file.list("nowhere") }?.object == "nowhere")
    #expect(storageError { try file.shape(of: "model") }?.object == "model")
    #expect(storageError { try file.attribute("x", on: "nowhere", as: Int.self) }?.object == "nowhere")
  }

  @Test func unusableFilesAreClearErrors() throws {
    try withTemporaryFolder { folder in
      let missing = try #require(storageError { try HDF5File(opening: folder + "/none.h5") })
      #expect(missing.description.contains("No such file or directory"))
      #expect(storageError { try HDF5File(opening: folder) }?.problem.contains("folder") == true)

      let text = folder + "/text.h5"
      try "not HDF5 at all".write(toFile: text, atomically: false, encoding: .utf8)
      #expect(storageError { try HDF5File(opening: text) }?.advice == "this is not an HDF5 file")
      try "".write(toFile: text, atomically: false, encoding: .utf8)
      #expect(storageError { try HDF5File(opening: text) } != nil)

      let whole = folder + "/whole.h5"
      try HDF5File.atomicallyWrite(to: whole) {
        try $0.write([Float](repeating: 1, count: 10_000), shape: [10_000], to: "x")
      }
      let contents = try Data(contentsOf: URL(fileURLWithPath: whole))
      let short = folder + "/short.h5"
      try contents.prefix(contents.count / 2).write(to: URL(fileURLWithPath: short))
      let truncated = try #require(storageError { try HDF5File(opening: short) })
      #expect(truncated.path == short)
      #expect(truncated.advice?.contains("cut short") == true)

      let closed = try HDF5File(opening: whole)
      try closed.close()
      try closed.close()
      #expect(storageError { try closed.list() }?.problem == "the file is already closed")
    }
  }

  @Test func readOnlyFilesAndDuplicatesAreRefused() throws {
    try withTemporaryFolder { folder in
      let file = try HDF5File(creating: folder + "/file.h5")
      try file.write([1] as [Float], shape: [1], to: "x")
      let twice = storageError { try file.write([1] as [Float], shape: [1], to: "x") }
      #expect(twice?.problem == "the file already holds an object of this name")
      #expect(storageError { try file.write(strings: ["a"], to: "x") }?.object == "x")
      try file.close()
      let reading = try HDF5File(opening: folder + "/file.h5")
      #expect(storageError { try reading.write([1] as [Float], shape: [1], to: "y") }?.object == "y")
    }
  }

  @Test func stringsReturnAsWritten() throws {
    try withTemporaryFolder { folder in
      let strings = ["n01440764/tench.JPEG", "Kühlschrank", "", "犬", String(repeating: "x", count: 100_000)]
      try HDF5File.atomicallyWrite(to: folder + "/file.h5") { file in
        try file.write(strings: strings, to: "images/names")
        try file.write(strings: [], to: "none")
        #expect(storageError { try file.write(strings: ["a\0b"], to: "zero") }?.object == "zero")
      }
      let file = try HDF5File(opening: folder + "/file.h5")
      #expect(try file.readStrings("images/names") == strings)
      #expect(try file.readStrings("none") == [])
    }
    let file = try HDF5File(opening: fixture("h5py.h5"))
    #expect(try file.readStrings("names") == ["n01440764/tench.JPEG", "Kühlschrank", "", "犬"])
    #expect(try file.readStrings("fixed") == ["ab", "abcd", ""])
    #expect(storageError { try file.readStrings("labels") }?.problem == "holds int32, expected strings")
  }

  @Test func attributesReturnAsWritten() throws {
    try withTemporaryFolder { folder in
      let long = String(repeating: "training:\n  größe: 1\n", count: 10_000)
      try HDF5File.atomicallyWrite(to: folder + "/file.h5") { file in
        try file.write([1] as [Float], shape: [1], to: "group/x")
        try file.setAttribute("step", 7)
        try file.setAttribute("step", 1_234_567_890_123)
        try file.setAttribute("seed", UInt64.max)
        try file.setAttribute("rate", 1.5e-3)
        try file.setAttribute("configuration", long)
        try file.setAttribute("empty", "")
        try file.setAttribute("kind", "weight", on: "group/x")
        try file.setAttribute("kind", "layer", on: "group")
      }
      let file = try HDF5File(opening: folder + "/file.h5")
      #expect(try file.attributes() == ["configuration", "empty", "rate", "seed", "step"])
      #expect(try file.attribute("step") == 1_234_567_890_123)
      #expect(try file.attribute("step") == Int64(1_234_567_890_123))
      #expect(try file.attribute("seed") == UInt64.max)
      #expect(try file.attribute("rate") == 1.5e-3)
      #expect(try file.attribute("configuration") == long)
      #expect(try file.attribute("empty") == "")
      #expect(try file.attribute("kind", on: "group/x") == "weight")
      #expect(try file.attribute("kind", on: "group") == "layer")
      #expect(try file.attribute("kind", as: String.self) == nil)
      let error = storageError { try file.attribute("rate", as: String.self) }
      #expect(error?.description.contains("attribute 'rate': holds float64, expected a string") == true)
    }
    let file = try HDF5File(opening: fixture("h5py.h5"))
    #expect(try file.attribute("version") == 3)
    #expect(try file.attribute("title") == "größer")
    #expect(try file.attribute("rate") == 0.125)
    #expect(try file.attribute("note", on: "labels") == "fixed length")
    #expect(storageError { try file.attribute("list", as: Int.self) }?.problem.contains("several") == true)
  }

  @Test func atomicWritesLeaveTheOldFileOrTheNewOne() throws {
    struct Interruption: Error {}
    try withTemporaryFolder { folder in
      let path = folder + "/step.h5"
      try HDF5File.atomicallyWrite(to: path) { try $0.setAttribute("step", 1) }
      #expect(throws: Interruption.self) {
        try HDF5File.atomicallyWrite(to: path) { file in
          try file.setAttribute("step", 2)
          throw Interruption()
        }
      }
      #expect(try HDF5File(opening: path).attribute("step") == 1)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["step.h5"])
      try HDF5File.atomicallyWrite(to: path) { try $0.setAttribute("step", 3) }
      #expect(try HDF5File(opening: path).attribute("step") == 3)
      let nowhere = storageError { try HDF5File.atomicallyWrite(to: folder + "/no/step.h5") { _ in } }
      #expect(nowhere?.path == folder + "/no/step.h5")
      #expect(nowhere?.description.contains("there is no folder") == true)
    }
  }

  @Test(.enabled(if: canFillDisk)) func fullDiskIsAnErrorThatSaysSo() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/file.h5"
      try HDF5File.atomicallyWrite(to: path) { try $0.setAttribute("step", 1) }
      let values = [Float](repeating: 1, count: 1 << 20)
      for checksum in [false, true] {
        try fillDisk(beneath: path)
        let error = storageError {
          try HDF5File.atomicallyWrite(to: path) { file in
            try file.write(values, shape: [values.count], to: "model/weight", checksum: checksum)
          }
        }
        #expect(error?.path == path)
        #expect(error?.problem.contains("No space left on device") == true)
        #expect(error?.advice?.contains("space") == true)
      }
      // What is small is only written when the file is closed.
      try fillDisk(beneath: path)
      let late = storageError {
        try HDF5File.atomicallyWrite(to: path) { try $0.setAttribute("step", 2) }
      }
      #expect(late?.problem.contains("No space left on device") == true)
      #expect(try HDF5File(opening: path).attribute("step") == 1)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["file.h5"])
    }
  }

  @Test func threadsShareTheLibrary() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/file.h5"
      try HDF5File.atomicallyWrite(to: path) { file in
        for index in 0..<8 { try file.write([Int32(index)], shape: [1], to: "\(index)") }
      }
      let file = try HDF5File(opening: path)
      let failures = Failures()
      DispatchQueue.concurrentPerform(iterations: 64) { index in
        let value = try? file.read("\(index % 8)", as: Int32.self)
        let missing = storageError { try file.read("none", as: Int32.self) }
        if value != [Int32(index % 8)] || missing == nil { failures.add() }
      }
      #expect(failures.count == 0)
    }
  }
}

private final class Failures: Sendable {
  private let number = Mutex(0)
  var count: Int { number.withLock(\.self) }
  func add() { number.withLock { $0 += 1 } }
}
