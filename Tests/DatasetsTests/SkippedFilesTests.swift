import Datasets
import Foundation
import Imaging
import Preparation
import Testing

/// Nothing that is meant to be an image vanishes.
@Suite struct SkippedFilesTests {
  private static let jpeg = ArchiveTests.images[0]

  /// What stands for a file that cannot be read, and what is said of it.
  private static let unusable: [(name: String, bytes: [UInt8], reason: String)] = [
    (
      "a.bmp", Array("BM".utf8) + [UInt8](repeating: 0, count: 12) + [40] + [UInt8](repeating: 0, count: 40),
      "is BMP"
    ),
    ("a.tif", [0x49, 0x49, 0x2A, 0, 8, 0, 0, 0], "is TIFF"),
    ("a.jpg.gif", Array("GIF89a".utf8), "is GIF"),
    ("a", Array("GIF89a".utf8), "is GIF"),
    ("a.webp", Array("RIFF".utf8) + [4, 0, 0, 0] + Array("WEBPVP8 ".utf8), "WebP"),
    ("a.TIFF", Array("text".utf8), "neither JPEG, PNG nor WebP"),
    ("a.png", [], "is empty"),
    ("a.tar.gz", Array("no archive".utf8), "named like an archive"),
    ("a.zip", Array("PK".utf8), "named like an archive"),
    ("a.rar", Array("Rar!".utf8), "archive of a kind"),
  ]

  @Test func everyFileThatCannotBeUsedIsNamed() throws {
    try withTemporaryFolder { folder in
      var tar = TarArchive()
      for (name, bytes) in Self.unusable.map({ ($0.name, $0.bytes) }) + [("good.jpg", Self.jpeg)] {
        try write(bytes, to: "\(folder)/in/cat/\(name)")
        tar.add("cat/\(name)", bytes)
      }
      try write(tar.finished, to: "\(folder)/in.tar")
      for input in ["in", "in.tar"] {
        let (summary, dataset) = try prepare("\(folder)/\(input)", in: folder)
        #expect(dataset.count == 1 && summary.otherFiles == 0)
        for file in Self.unusable {
          let skipped = try #require(summary.skipped.first { $0.path == "cat/\(file.name)" }, "\(file.name)")
          #expect(skipped.reason.contains(file.reason))
        }
        #expect(summary.skipped.count == Self.unusable.count && dataset.skipped == Self.unusable.count)
        #expect(
          message { _ = try prepare("\(folder)/\(input)", in: folder) { $0.isStrict = true } }.contains(
            "strictness"))
      }
    }
  }

  @Test func theFirstBytesCount() throws {
    try withTemporaryFolder { folder in
      let png = try Image(width: 5, height: 5).png()
      let webp = try bytes(fixturePath("tree/dog/1.webp"))
      for (name, content) in [
        ("a.jfif", Self.jpeg), ("b", Self.jpeg), ("c.dat", png), ("d.JPG", webp), ("e.webp", webp),
        ("f.txt", png),
      ] { try write(content, to: "\(folder)/in/cat/\(name)") }
      try write(Array("a list".utf8), to: "\(folder)/in/cat/list.txt")
      // A document that is packed, and no images.
      try write(try bytes(fixturePath("stored.zip")), to: "\(folder)/in/cat/document.docx")
      let (summary, dataset) = try prepare("\(folder)/in", in: folder)
      #expect(dataset.count == 6 && summary.skipped.isEmpty && summary.otherFiles == 2)
      #expect(try dataset.image(4).width == 11)
      #expect(try DatasetVerification.verify(dataset, workers: 2).isEmpty)
    }
  }

  @Test func aFolderWithoutImagesIsNamed() throws {
    try withTemporaryFolder { folder in
      try write(Self.jpeg, to: "\(folder)/in/cat/a.jpg")
      try write([1], to: "\(folder)/in/dog/list.txt")
      try FileManager.default.createDirectory(
        atPath: "\(folder)/in/empty/deep", withIntermediateDirectories: true)
      try write([1], to: "\(folder)/in/.hidden/a.jpg")
      try write([1], to: "\(folder)/in/__MACOSX/a.jpg")
      var tar = TarArchive()
      for name in ["in/", "in/cat/", "in/empty/deep/"] { tar.add(name, [], type: "5") }
      tar.add("in/cat/a.jpg", Self.jpeg)
      tar.add("in/dog/list.txt", [1])
      tar.add("in/.hidden/a.jpg", [1])
      try write(tar.finished, to: "\(folder)/in.tar")
      for (input, prefix) in [("in", ""), ("in.tar", "in/")] {
        let (summary, dataset) = try prepare("\(folder)/\(input)", in: folder)
        #expect(dataset.classes == ["cat"] && dataset.labels == [0])
        #expect(summary.skipped.map(\.path) == ["\(prefix)dog", "\(prefix)empty"])
        #expect(summary.skipped.allSatisfy { $0.reason.contains("without images") })
        #expect(
          message { _ = try prepare("\(folder)/\(input)", in: folder) { $0.isStrict = true } }.contains("dog")
        )
      }
    }
  }

  @Test(.timeLimit(.minutes(1))) func whatIsNoRegularFileIsNamed() throws {
    try withTemporaryFolder { folder in
      try write(Self.jpeg, to: "\(folder)/in/cat/a.jpg")
      try #require(mkfifo("\(folder)/in/cat/pipe.jpg", 0o600) == 0)
      try #require(mkfifo("\(folder)/in/cat/pipe", 0o600) == 0)
      try #require(symlink("/dev/zero", "\(folder)/in/cat/zero.jpg") == 0)
      try #require(symlink("nowhere", "\(folder)/in/cat/gone.png") == 0)
      try #require(symlink("..", "\(folder)/in/cat/up") == 0)
      let (summary, dataset) = try prepare("\(folder)/in", in: folder)
      #expect(dataset.count == 1)
      #expect(
        summary.skipped.map(\.path) == ["cat/gone.png", "cat/pipe", "cat/pipe.jpg", "cat/zero.jpg"])
      #expect(
        summary.skipped.map(\.reason) == [
          "is a link to what is not there", "is a named pipe, no regular file",
          "is a named pipe, no regular file",
          "is a device, no regular file",
        ])
      #expect(message { _ = try prepare("/dev/zero", in: folder) }.contains("is a device"))
    }
  }
}
