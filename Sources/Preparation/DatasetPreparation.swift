import Datasets
import Foundation
import Storage
import Threads

extension Cancellation {
  /// Throws after cancellation was requested.
  func check(_ path: String) throws {
    if isCancelled { throw DatasetError(path, "interrupted; nothing was written") }
  }
}

/// Turns a folder or an archive of images into a dataset file.
///
/// One thread walks the source, several check that the images decode and resize them, and what they make is
/// gathered on disk: memory does not grow with the images' bytes. Images are stored sorted by class and
/// name, so that the same images give the same dataset from a folder or an archive and with any number
/// of threads.
public struct DatasetPreparation: Sendable {
  /// A folder, a .tar, a .tar.gz, or a tar of tars.
  public var input: String
  /// The .h5 file to write.
  public var output: String
  /// Only what lies below this folder of the input.
  public var subset: String?
  /// Images whose short side is longer are resized to this; none is enlarged.
  public var shortSide: Int?
  /// JPEG quality of resized images, 1 to 100.
  public var quality = 95
  /// Threads that decode.
  public var workers = 1
  /// Whether an image that cannot be used is an error.
  public var isStrict = false
  /// A file that lists every skipped image and why.
  public var report: String?

  public init(input: String, output: String) {
    self.input = input
    self.output = output
  }

  /// How far a preparation is.
  public struct Progress: Sendable {
    /// Images examined.
    public var images = 0
    /// Of them, skipped.
    public var skipped = 0
    /// Bytes kept.
    public var bytes = 0
    /// Since the start.
    public var seconds = 0.0
    /// The share of the final file that is written, once all images have been examined.
    public var written: Double?
  }

  /// An image that was left out.
  public struct Skipped: Sendable, Equatable {
    public let path: String
    public let reason: String
  }

  /// What came of a preparation.
  public struct Summary: Sendable {
    public var images: Int
    public var classes: Int
    public var resized: Int
    /// The images left out, by path.
    public var skipped: [Skipped]
    /// Bytes of all images kept.
    public var bytes: Int
    public var fingerprint: UInt64
    public var seconds: Double
    /// Something the user may want to change.
    public var note: String?
  }

  /// Prepares the dataset. Nothing is left behind when it throws.
  ///
  /// - Parameters:
  ///   - cancellation: Ends the work early.
  ///   - onProgress: Called a few times a second, on the calling thread.
  public func run(
    cancellation: Cancellation = Cancellation(), onProgress: (Progress) -> Void = { _ in }
  ) throws -> Summary {
    if let shortSide, shortSide < 1 {
      throw DatasetError(.shortSide, "is \(shortSide), must be at least 1")
    }
    guard (1...100).contains(quality) else {
      throw DatasetError(.quality, "is \(quality), must be 1 to 100")
    }
    guard workers > 0 else { throw DatasetError(.workers, "is \(workers), must be at least 1") }
    let source = try ImageSource(path: input)
    let started = Date()
    let job = PreparationJob(self, source, try DatasetWriter(path: output, madeFrom: [input]), cancellation)
    var progress = try job.gather { progress in
      var progress = progress
      progress.seconds = Date().timeIntervalSince(started)
      onProgress(progress)
    }
    var (records, skipped) = (job.records, job.skipped)
    guard !records.isEmpty || !skipped.isEmpty else { throw nothingFound(source) }

    let order = ClassOrder(&records, &skipped, strippingCommonFolders: source.isArchive && subset == nil)
    skipped.sort { $0.path < $1.path }
    try writeReport(skipped)
    if isStrict, let first = skipped.first {
      throw strictError(first.path, first.reason)
    }
    guard !records.isEmpty else {
      throw DatasetError(
        input,
        "none of its \(skipped.count) images can be used; the first: \(skipped[0].path): \(skipped[0].reason)"
      )
    }
    let fingerprint = try job.writer.finish(records, classes: order.classes) { file in
      let source = (subset.map { [input, $0] } ?? [input]).map { ($0 as NSString).lastPathComponent }
      try file.setAttribute("source", source.joined(separator: "/"))
      try file.setAttribute("skipped", skipped.count)
      if let shortSide {
        try file.setAttribute("short_side", shortSide)
        try file.setAttribute("quality", quality)
      }
    } onSlab: { share in
      try cancellation.check(output)
      progress.written = share
      progress.seconds = Date().timeIntervalSince(started)
      onProgress(progress)
    }
    return Summary(
      images: records.count, classes: order.classes.count, resized: job.resized, skipped: skipped,
      bytes: records.reduce(0) { $0 + $1.size }, fingerprint: fingerprint,
      seconds: Date().timeIntervalSince(started), note: order.note)
  }

  /// What an image that cannot be used is where all must be.
  func strictError(_ path: String, _ reason: String) -> DatasetError {
    DatasetError(path, reason, advice: "without strictness such images are skipped", field: .strictness)
  }

  private func nothingFound(_ source: ImageSource) -> DatasetError {
    let endings = ImageSource.extensions.map { "." + $0 }.joined(separator: ", ")
    let place = subset.map { " below '\($0)'" } ?? ""
    return DatasetError(
      input, "no images\(place): looked for files ending in \(endings) in it and the folders below",
      advice: source.isArchive
        ? "expected CLASS/NAME.jpg, or the archives of classes, inside the archive"
        : "expected CLASS/NAME.jpg, or images directly in the folder")
  }

  private func writeReport(_ skipped: [Skipped]) throws {
    guard let report else { return }
    let lines = skipped.map { "\($0.path)\t\($0.reason)\n" }.joined()
    try FileSystem.atomicallyReplace(report) { partial in
      do {
        try Data(lines.utf8).write(to: URL(fileURLWithPath: partial))
      } catch {
        throw DatasetError(report, "cannot write the report: \(error.localizedDescription)")
      }
    }
  }
}

extension ImageSource {
  var isArchive: Bool { if case .archive = self { true } else { false } }
}

/// Gives every record its label and sorts by class and name.
private struct ClassOrder {
  var classes: [String] = []
  var note: String?

  init(
    _ records: inout [ImageRecord], _ skipped: inout [DatasetPreparation.Skipped],
    strippingCommonFolders: Bool
  ) {
    if strippingCommonFolders {
      let length = Self.commonFolders(records.map(\.name))
      if length > 0 {
        for i in records.indices { records[i].name = String(records[i].name.dropFirst(length)) }
      }
    }
    let inFolders = records.filter { $0.name.contains("/") }.count
    if inFolders > 0, inFolders < records.count {
      // Class folders and, beside them, images without a class.
      for record in records where !record.name.contains("/") {
        skipped.append(
          .init(path: record.name, reason: "lies beside the class folders, so that it has no class"))
      }
      records.removeAll { !$0.name.contains("/") }
    }
    // By bytes, as Python and `LC_ALL=C sort` do; the same name twice keeps the source's order.
    records.sort {
      if $0.name == $1.name { return $0.offset < $1.offset }
      return Self.sortKey($0.name).lexicographicallyPrecedes(Self.sortKey($1.name))
    }
    guard inFolders > 0 else {
      for i in records.indices { records[i].label = -1 }
      return
    }
    for i in records.indices {
      let name = String(records[i].name.prefix { $0 != "/" })
      if classes.last != name { classes.append(name) }
      records[i].label = Int32(classes.count - 1)
    }
    if let example = records.first, records.allSatisfy({ $0.name.filter { $0 == "/" }.count > 1 }) {
      note =
        "classes are the folders of the first level (\(classes.prefix(4).joined(separator: ", "))), but all "
        + "images lie deeper (\(example.name)): if that is not meant, take a subset"
    }
  }

  /// Folders are compared first: "cat/x" comes before "cat-big/x" although "-" comes before "/".
  private static func sortKey(_ name: String) -> some Sequence<UInt8> {
    name.utf8.lazy.map { $0 == UInt8(ascii: "/") ? 0 : $0 }
  }

  /// How many characters the folders take that all names begin with.
  private static func commonFolders(_ names: [String]) -> Int {
    guard let first = names.first else { return 0 }
    var common = ImageSource.components(first).dropLast()
    for name in names where !common.isEmpty {
      let parts = ImageSource.components(name).dropLast()
      let shared = zip(common, parts).prefix { $0 == $1 }.count
      common = common.prefix(shared)
    }
    return common.reduce(0) { $0 + $1.count + 1 }
  }
}
