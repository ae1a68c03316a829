import Datasets

/// What the threads of a preparation found, in no order.
struct Findings {
  /// An image, or what is meant to be one.
  struct Finding {
    enum Outcome {
      case record(ImageRecord)
      /// It cannot be used.
      case skipped(String)
      /// It cannot be looked at, and says nothing of the classes.
      case unreadable(String)

      var isUnreadable: Bool { if case .unreadable = self { true } else { false } }
    }
    var name: SourcePath
    var order: Int
    var outcome: Outcome
  }

  struct Link {
    var name: SourcePath
    var order: Int
    var target: SourcePath
  }

  var images: [Finding] = []
  var links: [Link] = []
  var folders: Set<SourcePath> = []
  /// Folders that archives would stand for, if they were any.
  var brokenArchives: [SourcePath] = []
  private(set) var otherFiles = 0

  mutating func addOther(_ name: SourcePath) {
    otherFiles += 1
    if let folder = name.folder { folders.insert(folder) }
  }
}

/// What a source holds: its images by class and name, what was left out, and its classes, which are its folders.
struct SourceListing {
  private(set) var records: [ImageRecord] = []
  private(set) var classes: [String] = []
  /// By path.
  private(set) var skipped: [DatasetPreparation.Skipped] = []
  private(set) var otherFiles: Int
  private(set) var notes: [DatasetPreparation.Note] = []
  private var classPaths: [SourcePath] = []

  init(_ findings: Findings, isArchive: Bool, hasSubset: Bool) {
    otherFiles = findings.otherFiles
    let images = Self.lastOfEachName(Self.following(findings.links, findings.images))
    if images.replaced > 0 {
      note("\(images.replaced) images were replaced by later ones of the same name")
    }
    // What makes a class is that images are meant to be in it.
    let places = images.kept.filter { !$0.outcome.isUnreadable }.map(\.name)
    let broken = findings.brokenArchives.map { SourcePath($0.components + [Array("?".utf8)]) }
    let around = isArchive && !hasSubset ? Self.foldersAround(places + broken) : 0
    let hasClasses = places.contains { $0.components.count > around + 1 }
    var byClass: [(className: SourcePath?, key: [UInt8], record: ImageRecord)] = []
    for image in images.kept {
      switch image.outcome {
      case .skipped(let reason), .unreadable(let reason): skip(image.name.text, reason)
      case .record(var record):
        let name = SourcePath(image.name.components.dropFirst(around))
        if hasClasses, name.firstFolder == nil {
          skip(image.name.text, "lies beside the class folders, so that it has no class")
        } else {
          record.name = name.text
          byClass.append((hasClasses ? name.firstFolder : nil, name.sortKey, record))
        }
      }
    }
    if hasClasses {
      noteAbout(places.map { SourcePath($0.components.dropFirst(around)) }, around)
      // Beside classes such an archive is one too, none of whose images can be used.
      addClasses(places + broken, findings.folders, around)
    }
    byClass.sort { $0.key.lexicographicallyPrecedes($1.key) }
    let labels = Dictionary(uniqueKeysWithValues: classPaths.enumerated().map { ($1, Int32($0)) })
    records = byClass.map { image in
      var record = image.record
      record.label = image.className.flatMap { labels[$0] } ?? -1
      return record
    }
    noteEmptyClasses()
    skipped.sort { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) }
  }

  /// The classes, in order; folders beside them that have no images are listed.
  private mutating func addClasses(_ places: [SourcePath], _ folders: Set<SourcePath>, _ around: Int) {
    let found = Set(places.compactMap { SourcePath($0.components.dropFirst(around)).firstFolder })
    classPaths = found.map { (path: $0, key: $0.sortKey) }
      .sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.path)
    classes = classPaths.map(\.text)
    // The folders around everything are those of any image.
    let top = Array(places.first?.components.prefix(around) ?? [])
    var seen = found
    for folder in folders {
      let parts = folder.components
      guard parts.count > around, parts.starts(with: top) else { continue }
      let name = SourcePath([parts[around]])
      if seen.insert(name).inserted {
        skip(
          SourcePath(parts.prefix(around + 1)).text,
          "is a folder without images beside those of classes; it is no class")
      }
    }
  }

  /// Notes what may not be meant about where the images lie.
  private mutating func noteAbout(_ names: [SourcePath], _ around: Int) {
    let inFolders = names.filter { $0.firstFolder != nil }
    guard let example = inFolders.first else { return }
    let first = Set(inFolders.compactMap(\.firstFolder))
    if inFolders.allSatisfy({ $0.components.count > 2 }) {
      let some = first.map(\.text).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }.prefix(4)
      note(
        "classes are the folders of the first level (\(some.joined(separator: ", ").printable)), but all images lie "
          + "deeper (\(example.text.printable)): if that is not meant, take a subset", .subset)
    } else if first.count == 1 {
      note("all images lie in one folder, which is their class: \((first.first?.text ?? "").printable)")
    }
  }

  private mutating func noteEmptyClasses() {
    var counts = [Int](repeating: 0, count: classes.count)
    for record in records where record.label >= 0 { counts[Int(record.label)] += 1 }
    let empty = zip(classes, counts).filter { $0.1 == 0 }.map(\.0)
    guard !empty.isEmpty else { return }
    let more = empty.count > 4 ? ", ..." : ""
    note(
      "no image of \(empty.count == 1 ? "this class" : "these \(empty.count) classes") can be used: "
        + empty.prefix(4).joined(separator: ", ").printable + more)
  }

  private mutating func note(_ text: String, _ field: DatasetError.Field? = nil) {
    notes.append(.init(text: text, field: field))
  }

  private mutating func skip(_ path: String, _ reason: String) {
    skipped.append(.init(path: path, reason: reason))
  }

  /// The images, and hard links as images of their own: a link is what had the name of its target at that time.
  private static func following(_ links: [Findings.Link], _ images: [Findings.Finding]) -> [Findings.Finding]
  {
    guard !links.isEmpty else { return images }
    var all = images
    var byName = Dictionary(grouping: images, by: \.name)
    for link in links.sorted(by: { $0.order < $1.order }) {
      let target = byName[link.target]?.filter { $0.order < link.order }.max { $0.order < $1.order }
      var image = Findings.Finding(
        name: link.name, order: link.order,
        outcome: .unreadable("is a hard link to \(link.target.text), which is no image in the archive"))
      if let target { image.outcome = target.outcome }
      all.append(image)
      byName[link.name, default: []].append(image)
    }
    return all
  }

  /// Of several images of one name the last, as when an archive is unpacked. What cannot be looked at replaces nothing.
  private static func lastOfEachName(_ images: [Findings.Finding]) -> (
    kept: [Findings.Finding], replaced: Int
  ) {
    var last: [SourcePath: Int] = [:]
    for image in images where !image.outcome.isUnreadable {
      last[image.name] = max(image.order, last[image.name] ?? 0)
    }
    let kept = images.filter { $0.outcome.isUnreadable || last[$0.name] == $0.order }
    return (kept, images.count - kept.count)
  }

  /// How many folders lie around everything in an archive. Where all images are in one folder, that is their class.
  private static func foldersAround(_ places: [SourcePath]) -> Int {
    guard var common = places.first.map({ Array($0.components.dropLast()) }) else { return 0 }
    var deepest = 0
    for place in places {
      let folders = place.components.dropLast()
      common = Array(common.prefix(zip(common, folders).prefix { $0 == $1 }.count))
      deepest = max(deepest, folders.count)
    }
    return deepest > common.count ? common.count : max(0, common.count - 1)
  }
}
