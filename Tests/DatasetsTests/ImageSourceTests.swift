import Datasets
import Foundation
import Imaging
import Preparation
import Testing

/// Folders and archives become the same dataset.
@Suite struct ImageSourceTests {
  /// Six small JPEGs of different sizes.
  static let images: [[UInt8]] = (0..<6).compactMap { i in
    try? Image(width: 20 + i, height: 30 - i, color: (UInt8(40 * i), 90, 200)).jpeg()
  }

  private func prepare(_ folder: String, _ input: String, subset: String? = nil) throws -> ImageDataset {
    let output = "\(folder)/\(UUID().uuidString).h5"
    var preparation = DatasetPreparation(input: input, output: output)
    preparation.subset = subset
    preparation.workers = 2
    let summary = try preparation.run()
    let dataset = try ImageDataset(opening: output)
    #expect(summary.images == dataset.count && summary.fingerprint == dataset.fingerprint)
    return dataset
  }

  private static let tree = [
    ("bird/b.jpg", 0), ("cat/a.JPEG", 1), ("cat/z.jpg", 2), ("cat-big/c.Jpg", 3), ("dog/d.jpeg", 4),
  ]

  private func expectTree(_ dataset: ImageDataset) throws {
    #expect(dataset.classes == ["bird", "cat", "cat-big", "dog"])
    #expect(dataset.labels == [0, 1, 1, 2, 3])
    #expect(try dataset.names() == Self.tree.map(\.0))
    var bytes: [UInt8] = []
    for (i, (_, image)) in Self.tree.enumerated() {
      try dataset.read(i, into: &bytes)
      #expect(bytes == Self.images[image])
      #expect(dataset.widths[i] == Int32(20 + image) && dataset.heights[i] == Int32(30 - image))
    }
  }

  @Test func aFolderOfClasses() throws {
    try withTemporaryFolder { folder in
      for (name, i) in Self.tree { try write(Self.images[i], to: "\(folder)/in/\(name)") }
      // What is no image and not named like one is nobody's business.
      try write([1], to: "\(folder)/in/README")
      try write([1], to: "\(folder)/in/cat/.DS_Store")
      try write([1], to: "\(folder)/in/cat/._a.JPEG")
      try write([1], to: "\(folder)/in/cat/notes.txt")
      try expectTree(try prepare(folder, "\(folder)/in"))
      // The same below a folder of the input.
      let below = try prepare(folder, folder, subset: "in")
      try expectTree(below)
      #expect(below.source.hasSuffix("/in"))
    }
  }

  @Test func aFolderWithoutClasses() throws {
    try withTemporaryFolder { folder in
      for i in 0..<3 { try write(Self.images[i], to: "\(folder)/in/\(i).jpg") }
      let dataset = try prepare(folder, "\(folder)/in")
      #expect(dataset.classes.isEmpty)
      #expect(dataset.labels == [-1, -1, -1])
    }
  }

  @Test func anArchiveOfClasses() throws {
    try withTemporaryFolder { folder in
      var tar = TarArchive()
      tar.add("./tree/", [], type: "5")
      // Not in order, and in every way that tar writes names.
      let order = [4, 0, 3, 2, 1]
      for i in order {
        let (name, image) = Self.tree[i]
        switch i {
        case 0: tar.add(longName: "./tree/\(name)", Self.images[image])
        case 1: tar.add(paxName: "tree/\(name)", Self.images[image])
        case 2: tar.add(name, Self.images[image], prefix: "tree")
        default: tar.add("./tree/\(name)", Self.images[image])
        }
      }
      tar.add("tree/README", [1, 2, 3])
      tar.add("tree/cat/._z.jpg", [1, 2, 3])
      try write(tar.finished, to: "\(folder)/in.tar")
      let dataset = try prepare(folder, "\(folder)/in.tar")
      try expectTree(dataset)

      for (name, i) in Self.tree { try write(Self.images[i], to: "\(folder)/in/\(name)") }
      #expect(try prepare(folder, "\(folder)/in").fingerprint == dataset.fingerprint)
    }
  }

  @Test func partOfAnArchive() throws {
    try withTemporaryFolder { folder in
      var tar = TarArchive()
      for (name, i) in Self.tree { tar.add("all/train/\(name)", Self.images[i]) }
      tar.add("all/test/cat/a.jpg", Self.images[5])
      try write(tar.finished, to: "\(folder)/in.tar")
      try expectTree(try prepare(folder, "\(folder)/in.tar", subset: "train"))
      try expectTree(try prepare(folder, "\(folder)/in.tar", subset: "all/train/"))
      let none = message { _ = try prepare(folder, "\(folder)/in.tar", subset: "validation") }
      #expect(none.contains("no images below 'validation'"))
    }
  }

  @Test func aTarOfTars() throws {
    try withTemporaryFolder { folder in
      var outer = TarArchive()
      for name in ["dog", "bird", "cat-big", "cat"] {
        var inner = TarArchive()
        for (path, i) in Self.tree where path.hasPrefix(name + "/") {
          inner.add(String(path.dropFirst(name.count + 1)), Self.images[i])
        }
        outer.add("\(name).tar", inner.finished)
      }
      try write(outer.finished, to: "\(folder)/train.tar")
      try expectTree(try prepare(folder, "\(folder)/train.tar"))
    }
  }

  @Test func damagedArchivesAreErrors() throws {
    try withTemporaryFolder { folder in
      var tar = TarArchive()
      for (name, i) in Self.tree { tar.add(name, Self.images[i]) }
      let whole = tar.finished
      func error(_ bytes: [UInt8]) -> String {
        message {
          try write(bytes, to: "\(folder)/in.tar")
          _ = try prepare(folder, "\(folder)/in.tar")
        }
      }
      #expect(error(Array(whole[..<900])).contains("cut short"))
      #expect(error(Array("no tar at all, but text".utf8)).contains("is no archive"))
      #expect(error([]).contains("is no archive"))
      var flipped = whole
      let secondHeader = 512 + (Self.images[0].count + 511) / 512 * 512
      flipped[secondHeader + 3] ^= 1
      let damage = error(flipped)
      #expect(damage.contains("damaged"))
      // The first bytes of a gzip file and nothing more.
      let zipped = error([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 0x4B])
      #expect(zipped.contains("cut short"))
      let left = try FileManager.default.contentsOfDirectory(atPath: folder)
      #expect(left == ["in.tar"])
    }
  }
}
