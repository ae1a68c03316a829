import Datasets
import Foundation
import Preparation
import Storage
import Synchronization
import Testing

@Suite struct ImageDatasetTests {
  @Test func readsFromManyThreads() throws {
    try withTemporaryFolder { folder in
      let dataset = try makeDataset(folder, count: 30)
      #expect(dataset.count == 30 && dataset.classes.count == 10)
      #expect(dataset.labels == (0..<30).map { Int32($0 % 10) })
      let expected = try (0..<30).map { i in
        var bytes: [UInt8] = []
        try dataset.read(i, into: &bytes)
        return bytes
      }
      let failures = Counter()
      DispatchQueue.concurrentPerform(iterations: 8) { thread in
        var bytes: [UInt8] = []
        for round in 0..<60 {
          let i = (round * 7 + thread) % 30
          if (try? dataset.read(i, into: &bytes)) == nil || bytes != expected[i] {
            failures.increment()
          }
        }
      }
      #expect(failures.value == 0)
    }
  }

  @Test func damagedFilesAreErrors() throws {
    try withTemporaryFolder { folder in
      let path = try makeDataset(folder, count: 5).path
      let whole = try bytes(path)
      #expect(message { _ = try ImageDataset(opening: "\(folder)/none.h5") }.contains("none.h5"))
      try write(Array("not hdf5".utf8), to: "\(folder)/text.h5")
      #expect(message { _ = try ImageDataset(opening: "\(folder)/text.h5") }.contains("HDF5"))
      try write(Array(whole[..<(whole.count - 1000)]), to: "\(folder)/cut.h5")
      #expect(message { _ = try ImageDataset(opening: "\(folder)/cut.h5") }.contains("cut short"))
      let other = try HDF5File(creating: "\(folder)/other.h5")
      try other.setAttribute("format", "something")
      try other.close()
      #expect(
        message { _ = try ImageDataset(opening: "\(folder)/other.h5") }.contains("no image dataset"))
      let newer = try HDF5File(creating: "\(folder)/newer.h5")
      try newer.setAttribute("format", "peco-dataset")
      try newer.setAttribute("format_version", 99)
      try newer.close()
      #expect(message { _ = try ImageDataset(opening: "\(folder)/newer.h5") }.contains("version 99"))
    }
  }

  /// Crops are drawn of the sizes in the index, before anybody looks at the image.
  @Test(arguments: [0, -1, Int32.min]) func imagesHaveASize(_ height: Int32) throws {
    try withTemporaryFolder { folder in
      let file = try HDF5File(creating: "\(folder)/data.h5")
      try file.setAttribute("format", "peco-dataset")
      try file.setAttribute("format_version", 1)
      try file.write([1, 2, 3] as [UInt8], shape: [3], to: "images/bytes")
      try file.write([0, 3] as [UInt64], shape: [2], to: "images/offsets")
      try file.write([height], shape: [1], to: "images/height")
      try file.write([4] as [Int32], shape: [1], to: "images/width")
      try file.write([0] as [UInt64], shape: [1], to: "images/checksum")
      try file.write([-1] as [Int32], shape: [1], to: "labels")
      try file.write(strings: [], to: "classes")
      try file.write(strings: ["a.jpg"], to: "names")
      try file.close()
      #expect(message { _ = try ImageDataset(opening: "\(folder)/data.h5") }.contains("no height"))
    }
  }

  @Test func verificationFindsEveryDamagedImage() throws {
    try withTemporaryFolder { folder in
      let dataset = try makeDataset(folder, count: 12)
      #expect(try DatasetVerification.verify(dataset, workers: 2).isEmpty)
      // One bit of image 7, found by its own bytes.
      var image: [UInt8] = []
      try dataset.read(7, into: &image)
      var whole = try bytes(dataset.path)
      let start = try #require(whole.firstRange(of: image)).lowerBound
      whole[start + image.count / 2] ^= 4
      try write(whole, to: "\(folder)/damaged.h5")
      let problems = try DatasetVerification.verify(
        try ImageDataset(opening: "\(folder)/damaged.h5"), workers: 2)
      #expect(problems.map(\.index) == [7])
      #expect(problems[0].reason.contains("square/00000006.jpg") == false)
      #expect(problems[0].reason.contains("star/00000007.jpg") && problems[0].reason.contains("checksum"))
    }
  }

  @Test func theFingerprintFollowsTheContent() throws {
    try withTemporaryFolder { folder in
      let a = try makeDataset(folder, count: 10, seed: 1, name: "a.h5")
      let b = try makeDataset(folder, count: 10, seed: 2, name: "b.h5")
      let c = try makeDataset(folder, count: 10, seed: 1, name: "c.h5")
      #expect(a.fingerprint != b.fingerprint)
      #expect(a.fingerprint == c.fingerprint)
    }
  }
}

/// A count that threads share.
final class Counter: Sendable {
  private let count = Mutex(0)
  func increment() { count.withLock { $0 += 1 } }
  var value: Int { count.withLock(\.self) }
}
