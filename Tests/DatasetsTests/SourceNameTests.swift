import Datasets
import Foundation
import Imaging
import Preparation
import Storage
import Testing

/// Names are bytes: kept apart, readable, and in Python's order.
@Suite struct SourceNameTests {
  private struct Names: Decodable {
    /// As the dataset has them, in the order of Python's `sorted`.
    let text: [String]
    let hex: [String]

    static func read() throws -> Names {
      try JSONDecoder().decode(
        Names.self, from: Data(contentsOf: URL(fileURLWithPath: fixturePath("names.json"))))
    }

    var bytes: [[UInt8]] {
      hex.map { text in
        stride(from: 0, to: text.utf8.count, by: 2).compactMap {
          UInt8(text.dropFirst($0).prefix(2), radix: 16)
        }
      }
    }
  }

  private func expectSame(_ names: [String], _ expected: [String]) {
    #expect(names.map { Array($0.utf8) } == expected.map { Array($0.utf8) })
  }

  @Test func aFolderOfSuchNames() throws {
    try withTemporaryFolder { folder in
      let names = try Names.read()
      let image = ArchiveTests.images[0]
      // Some file systems have no names that are not UTF-8.
      for name in names.bytes
      where try !write(image, folder: "\(folder)/in", name: name + Array("/a.jpg".utf8)) { return }
      let (summary, dataset) = try prepare("\(folder)/in", in: folder) { $0.workers = 3 }
      #expect(summary.skipped.isEmpty && summary.notes.isEmpty)
      expectSame(dataset.classes, names.text)
      expectSame(try dataset.names(), names.text.map { $0 + "/a.jpg" })
      #expect(dataset.labels == (0..<Int32(names.text.count)).map { $0 })
      // As text they can be given back.
      for name in names.text {
        let below = try prepare("\(folder)/in", in: folder) { $0.subset = name }
        expectSame(try below.dataset.names(), ["a.jpg"])
      }
    }
  }

  @Test(arguments: ["names-gnu.tar", "names-ustar.tar", "names-pax.tar", "names-raw.tar"])
  func archivesOfSuchNames(_ archive: String) throws {
    try withTemporaryFolder { folder in
      let names = try Names.read()
      let (summary, dataset) = try prepare(fixturePath(archive), in: folder)
      #expect(summary.skipped.isEmpty && summary.notes.isEmpty)
      expectSame(dataset.classes, names.text)
      #expect(dataset.labels == (0..<Int32(names.text.count)).map { $0 })
    }
  }

  @Test func aZipOfSuchNames() throws {
    try withTemporaryFolder { folder in
      let (summary, dataset) = try prepare(fixturePath("names.zip"), in: folder)
      #expect(summary.skipped.isEmpty)
      expectSame(dataset.classes, ["caf\u{E9}", "dog", "\u{301}mark"])
    }
  }

  @Test func reportsHaveALineAnImage() throws {
    try withTemporaryFolder { folder in
      let image = ArchiveTests.images[0]
      try write(image, to: "\(folder)/in/good/a.jpg")
      let name = Array("new\nline/\u{301}tab\t.jpg".utf8)
      try #require(try write([1], folder: "\(folder)/in", name: name))
      let (summary, _) = try prepare("\(folder)/in", in: folder) { $0.report = "\(folder)/report.txt" }
      #expect(summary.skipped.count == 1)
      let report = String(decoding: try bytes("\(folder)/report.txt"), as: UTF8.self)
      #expect(report.utf8.split(separator: UInt8(ascii: "\n")).count == 1)
      #expect(report.utf8.starts(with: "new\\x0Aline/\u{301}tab\\x09.jpg\t".utf8))
    }
  }

  @Test func pathsBeginWithAMarkToo() {
    #expect(FileSystem.name(of: "/a/\u{301}b").utf8.elementsEqual("\u{301}b".utf8))
    #expect(FileSystem.folder(of: "/a/\u{301}b").utf8.elementsEqual("/a".utf8))
  }
}
