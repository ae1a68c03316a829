import Datasets
import Foundation
import Imaging
import Preparation
import Testing
import Threads

/// Archives of every kind are the folder that was packed.
@Suite struct ArchiveTests {
  /// Different small images.
  static let images: [[UInt8]] = (0..<6).compactMap { i in
    try? Image(width: 9 + i, height: 14 - i, color: (UInt8(40 * i), 90, 200)).jpeg()
  }

  private func expectSame(_ dataset: ImageDataset, _ other: ImageDataset) throws {
    #expect(dataset.fingerprint == other.fingerprint)
    #expect(dataset.classes == other.classes && dataset.labels == other.labels)
    #expect(try dataset.names() == other.names())
  }

  private func prepared(_ tar: TarArchive, in folder: String, subset: String? = nil) throws -> (
    summary: DatasetPreparation.Summary, dataset: ImageDataset
  ) {
    let path = "\(folder)/\(UUID().uuidString).tar"
    try write(tar.finished, to: path)
    return try prepare(path, in: folder) { $0.subset = subset }
  }

  @Test(arguments: [
    "sparse-gnu.tar", "sparse-pax-0.0.tar", "sparse-pax-0.1.tar", "sparse-pax-1.0.tar", "packed.tar.gz",
    "packed.tar.bz2", "packed.tar.xz", "packed.tar.zst", "stored.zip",
  ])
  func everyArchiveIsItsFolder(_ archive: String) throws {
    try withTemporaryFolder { folder in
      let (_, expected) = try prepare(fixturePath("tree"), in: folder)
      #expect(try expected.names() == ["cat/1.jpg", "cat/2.png", "dog/1.webp", "dog/holes.jpg"])
      let (summary, dataset) = try prepare(fixturePath(archive), in: folder)
      #expect(summary.skipped.isEmpty && summary.notes.isEmpty)
      try expectSame(dataset, expected)
      // An archive counts as a folder, in an archive and in a folder, whatever it is called.
      for name in [archive, "in." + archive] {
        var outer = TarArchive()
        outer.add(name, try bytes(fixturePath(archive)))
        try expectSame(try prepared(outer, in: folder).dataset, expected)
      }
      try write(try bytes(fixturePath(archive)), to: "\(folder)/in/all.\(archive)")
      let stem = archive.split(separator: archive.hasSuffix(".zip") ? ".zip" : ".tar")[0]
      let below = try prepare("\(folder)/in", in: folder) { $0.subset = "all.\(stem)" }
      try expectSame(below.dataset, expected)
    }
  }

  @Test func aFolderOfArchivesAndAnArchiveOfArchivesHaveTheirClasses() throws {
    try withTemporaryFolder { folder in
      var outer = TarArchive()
      for (index, name) in ["cat", "dog"].enumerated() {
        var inner = TarArchive()
        inner.add("\(name)_1.JPEG", Self.images[index])
        inner.add("\(name)_2.JPEG", Self.images[index + 2])
        outer.add("\(name).tar", inner.finished)
        try write(inner.finished, to: "\(folder)/in/\(name).tar")
        try write(Self.images[index], to: "\(folder)/plain/\(name)/\(name)_1.JPEG")
        try write(Self.images[index + 2], to: "\(folder)/plain/\(name)/\(name)_2.JPEG")
      }
      let (_, expected) = try prepare("\(folder)/plain", in: folder)
      try expectSame(try prepare("\(folder)/in", in: folder).dataset, expected)
      try expectSame(try prepared(outer, in: folder).dataset, expected)
    }
  }

  @Test func oneClassIsAClass() throws {
    try withTemporaryFolder { folder in
      for above in ["", "./", "all/", "all/train/"] {
        var tar = TarArchive()
        if above.count > 2 { tar.add(above, [], type: "5") }
        tar.add("\(above)cat/", [], type: "5")
        tar.add("\(above)cat/b.jpg", Self.images[1])
        tar.add("\(above)cat/a.jpg", Self.images[0])
        let (summary, dataset) = try prepared(tar, in: folder)
        #expect(dataset.classes == ["cat"] && dataset.labels == [0, 0])
        #expect(summary.notes.count == 1 && summary.notes[0].text.contains("all images lie in one folder"))
        try write(Self.images[0], to: "\(folder)/in/cat/a.jpg")
        try write(Self.images[1], to: "\(folder)/in/cat/b.jpg")
        try expectSame(dataset, try prepare("\(folder)/in", in: folder).dataset)
      }
      // Images without any folder have no class.
      var loose = TarArchive()
      for i in 0..<2 { loose.add("./\(i).jpg", Self.images[i]) }
      #expect(try prepared(loose, in: folder).dataset.labels == [-1, -1])
    }
  }

  @Test func aBrokenClassTakesNoLabelsAway() throws {
    try withTemporaryFolder { folder in
      var tar = TarArchive()
      tar.add("cat/a.jpg", Array("broken".utf8))
      tar.add("dog/a.jpg", Self.images[0])
      try write(Array("broken".utf8), to: "\(folder)/in/cat/a.jpg")
      try write(Self.images[0], to: "\(folder)/in/dog/a.jpg")
      let (summary, dataset) = try prepared(tar, in: folder)
      #expect(dataset.classes == ["cat", "dog"] && dataset.labels == [1])
      #expect(summary.skipped.map(\.path) == ["cat/a.jpg"])
      #expect(
        summary.notes.count == 1 && summary.notes[0].text.contains("no image of this class can be used: cat"))
      try expectSame(dataset, try prepare("\(folder)/in", in: folder).dataset)
    }
  }

  @Test func aBrokenArchiveOfAClassTakesNoLabelsAway() throws {
    try withTemporaryFolder { folder in
      var inner = TarArchive()
      inner.add("a.jpg", Self.images[0])
      var outer = TarArchive()
      for (name, content) in [("cat.tar", Array("broken".utf8)), ("dog.tar", inner.finished)] {
        outer.add(name, content)
        try write(content, to: "\(folder)/in/\(name)")
      }
      let (summary, dataset) = try prepared(outer, in: folder)
      #expect(dataset.classes == ["cat", "dog"] && dataset.labels == [1])
      #expect(summary.skipped.map(\.path) == ["cat.tar"])
      try expectSame(dataset, try prepare("\(folder)/in", in: folder).dataset)
      // Beside images without classes it makes none.
      try write(Self.images[0], to: "\(folder)/loose/a.jpg")
      try write(Array("broken".utf8), to: "\(folder)/loose/old.zip")
      #expect(try prepare("\(folder)/loose", in: folder).dataset.labels == [-1])
    }
  }

  @Test func ofOneNameTheLastCounts() throws {
    try withTemporaryFolder { folder in
      var tar = TarArchive()
      tar.add("cat/a.jpg", Self.images[0])
      tar.add("cat/b.jpg", [], type: "1", link: "cat/a.jpg")
      tar.add("cat/a.jpg", Self.images[1])
      tar.add("./cat//c.jpg", Self.images[2])
      tar.add("cat/c.jpg", Array("broken".utf8))
      tar.add("dog/a.jpg", Self.images[3])
      let (summary, dataset) = try prepared(tar, in: folder)
      #expect(try dataset.names() == ["cat/a.jpg", "cat/b.jpg", "dog/a.jpg"])
      // The link is what had the name before.
      #expect(dataset.widths == [10, 9, 12])
      #expect(summary.skipped.map(\.path) == ["cat/c.jpg"])
      #expect(summary.notes.map(\.text) == ["2 images were replaced by later ones of the same name"])
    }
  }

  @Test func hardLinksHaveTheContentOfWhatTheyLeadTo() throws {
    try withTemporaryFolder { folder in
      var tar = TarArchive()
      tar.add("pool/0001", Self.images[0])
      tar.add("pool/0002.jpg", Array("broken".utf8))
      tar.add("train/cat/a.jpg", [], type: "1", link: "pool/0001")
      tar.add("train/dog/b.jpg", [], type: "1", link: "train/cat/a.jpg")
      tar.add("train/dog/broken.jpg", [], type: "1", link: "pool/0002.jpg")
      tar.add("train/dog/none.jpg", [], type: "1", link: "pool/none.jpg")
      tar.add("train/dog/symbolic.jpg", [], type: "2", link: "b.jpg")
      let all = try prepared(tar, in: folder)
      #expect(all.dataset.widths == [9, 9, 9])
      #expect(
        all.summary.skipped.map(\.path) == [
          "pool/0002.jpg", "train/dog/broken.jpg", "train/dog/none.jpg", "train/dog/symbolic.jpg",
        ])
      #expect(all.summary.skipped[3].reason.contains("symbolic link"))
      // What they lead to may lie outside of what is wanted.
      let part = try prepared(tar, in: folder, subset: "train")
      #expect(try part.dataset.names() == ["cat/a.jpg", "dog/b.jpg"])
      #expect(part.dataset.widths == [9, 9] && part.dataset.labels == [0, 1])
      #expect(part.summary.skipped.map(\.path) == ["dog/broken.jpg", "dog/none.jpg", "dog/symbolic.jpg"])
    }
  }

  @Test func namesThatLeadOutAreRefused() throws {
    try withTemporaryFolder { folder in
      var tar = TarArchive()
      tar.add("cat/a.jpg", Self.images[0])
      tar.add("../evil/a.jpg", Self.images[1])
      tar.add("cat/../../b.jpg", Self.images[2])
      tar.add("/dog/a.jpg", Self.images[3])
      tar.add("dev/null", [], type: "3")
      tar.add("dev/fifo.jpg", [], type: "6")
      let (summary, dataset) = try prepared(tar, in: folder)
      #expect(try dataset.names() == ["cat/a.jpg", "dog/a.jpg"])
      #expect(
        summary.skipped.map(\.path) == ["../evil/a.jpg", "cat/../../b.jpg", "dev/fifo.jpg", "dev/null"])
      #expect(summary.skipped[0].reason.contains("leads out") && summary.skipped[2].reason.contains("pipe"))
      #expect(!FileManager.default.fileExists(atPath: folder + "/../evil"))
    }
  }

  @Test func whatClaimsToBeHugeIsNoMatter() throws {
    try withTemporaryFolder { folder in
      for claim in [1 << 31, 1 << 50, Int.max - 1000] {
        var tar = TarArchive()
        tar.add("cat/a.jpg", Self.images[0])
        tar.add("cat/b.jpg", Self.images[1], claiming: claim)
        let error = message { _ = try prepared(tar, in: folder) }
        #expect(error.contains("damaged") || error.contains("cut short"), "\(claim): \(error)")
      }
      // A sparse file of a petabyte is there in full: nobody wants it as an image.
      var sparse = TarArchive()
      sparse.add("cat/a.jpg", Self.images[0])
      sparse.add(
        paxRecords: [
          "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "cat/b.jpg",
          "GNU.sparse.realsize": "\(1 << 50)",
        ], sparseMap: [(0, Self.images[1].count), (1 << 50, 0)], Self.images[1])
      let (summary, dataset) = try prepared(sparse, in: folder)
      #expect(dataset.count == 1)
      #expect(summary.skipped.map(\.path) == ["cat/b.jpg"] && summary.skipped[0].reason.contains("more than"))
      // One of the size that an image may have, and which a few bytes make.
      var hole = TarArchive()
      hole.add("cat/a.jpg", Self.images[0])
      hole.add(
        paxRecords: [
          "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "cat/b.jpg",
          "GNU.sparse.realsize": "\(900 << 20)",
        ], sparseMap: [(0, Self.images[1].count), (900 << 20, 0)], Self.images[1])
      let (found, whole) = try prepared(hole, in: folder)
      #expect(whole.count == 1 && found.skipped.map(\.path) == ["cat/b.jpg"])
      #expect(found.skipped.first?.reason.contains("hole") == true, "\(found.skipped)")
    }
  }

  @Test func bombsAreRefused() throws {
    try withTemporaryFolder { folder in
      let made = try bomb(in: folder)
      #expect(made.count < 2 << 20)
      try write(made, to: "\(folder)/in.tar.gz")
      #expect(message { _ = try prepare("\(folder)/in.tar.gz", in: folder) }.contains("unpacks to more than"))
      var outer = TarArchive()
      outer.add("cat.tar.gz", made)
      #expect(message { _ = try prepared(outer, in: folder) }.contains("unpacks to more than"))
      // Archives in archives, deeper than anybody means.
      var deep = TarArchive()
      deep.add("cat/a.jpg", Self.images[0])
      for level in 0..<12 {
        var next = TarArchive()
        next.add("\(level).tar", deep.finished)
        deep = next
      }
      #expect(message { _ = try prepared(deep, in: folder) }.contains("too deep"))
    }
  }

  /// A gigabyte of zeros, packed by gzip.
  private func bomb(in folder: String) throws -> [UInt8] {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.currentDirectoryURL = URL(fileURLWithPath: folder)
    process.arguments = ["-c", "truncate -s 1G zeros && tar -cf - zeros | gzip > bomb.tar.gz && rm zeros"]
    try process.run()
    process.waitUntilExit()
    return try bytes("\(folder)/bomb.tar.gz")
  }

  @Test(arguments: [
    "sparse-pax-1.0.tar", "packed.tar.gz", "packed.tar.xz", "packed.tar.zst", "stored.zip", "packed.tar.bz2",
  ])
  func damageIsAnErrorAndNeverACrash(_ archive: String) throws {
    try withTemporaryFolder { folder in
      let whole = try bytes(fixturePath(archive))
      let (_, expected) = try prepare(fixturePath(archive), in: folder)
      // Both ends of a tar are zeros that nobody misses.
      let end =
        archive.hasSuffix(".tar")
        ? whole.count - 1100 : archive.hasSuffix(".zip") ? whole.count - 1 : whole.count - 20
      for count in stride(from: 0, to: end, by: max(1, whole.count / 60)) {
        try write(Array(whole[..<count]), to: "\(folder)/in.tar")
        let result = Result { try prepare("\(folder)/in.tar", in: folder) }
        // What can be had may be used, if something is said of what cannot.
        if case .success(let made) = result {
          #expect(
            !made.summary.skipped.isEmpty || made.dataset.fingerprint == expected.fingerprint, "\(count)")
        }
      }
      var state: UInt64 = 5
      for _ in 0..<80 {
        var bytes = whole
        for _ in 0..<3 {
          state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
          bytes[Int(state >> 33) % bytes.count] = UInt8(truncatingIfNeeded: state >> 20)
        }
        try write(bytes, to: "\(folder)/in.tar")
        _ = try? prepare("\(folder)/in.tar", in: folder)
      }
      #expect(expected.count == 4)
    }
  }

  @Test func twoSpellingsOfANameInAZipAreReported() throws {
    try withTemporaryFolder { folder in
      let (summary, dataset) = try prepare(fixturePath("twice.zip"), in: folder)
      #expect(dataset.count == 1)
      #expect(summary.skipped.count == 1 && summary.skipped[0].reason.contains("another file of the zip"))
    }
  }

  @Test(.timeLimit(.minutes(1))) func aPipeIsReadAndMayStall() throws {
    try withTemporaryFolder { folder in
      try #require(mkfifo("\(folder)/pipe", 0o600) == 0)
      let pipe = "\(folder)/pipe"
      let archive = try bytes(fixturePath("packed.tar.gz"))
      Thread.detachNewThread {
        let writer = FileHandle(forWritingAtPath: pipe)
        try? writer?.write(contentsOf: Data(archive))
        try? writer?.close()
      }
      #expect(try prepare(pipe, in: folder).dataset.count == 4)
      for hasWriter in [false, true] {
        let writer = hasWriter ? open(pipe, O_RDWR) : -1
        defer { close(writer) }
        let cancellation = Cancellation()
        Thread.detachNewThread {
          Thread.sleep(forTimeInterval: 0.3)
          cancellation.cancel()
        }
        let error = message {
          _ = try DatasetPreparation(input: pipe, output: "\(folder)/out.h5").run(cancellation: cancellation)
        }
        #expect(error.contains("interrupted"))
      }
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/out.h5"))
    }
  }
}
