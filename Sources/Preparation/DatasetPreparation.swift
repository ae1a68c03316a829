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
/// of threads. Classes are folders, whether or not all of their images can be used.
public struct DatasetPreparation: Sendable {
  /// A folder, a tar or a zip of images, or of one archive a class.
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
  /// What is done with the orientation that a camera noted.
  public var exifOrientation = ExifOrientation.ignore
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

  /// What is done with the orientation that a camera noted (EXIF).
  public enum ExifOrientation: String, Sendable, CaseIterable {
    /// Images are as they are stored, as for Pillow's `Image.open`.
    case ignore
    /// Images are as a viewer shows them, as after Pillow's `exif_transpose`.
    case apply
  }

  /// An image that was left out, or a class folder without any.
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
    /// Files that are no images, and not meant to be.
    public var otherFiles: Int
    /// Bytes of all images kept.
    public var bytes: Int
    public var fingerprint: UInt64
    public var seconds: Double
    /// What the user may want to know or to change.
    public var notes: [Note]
  }

  /// Something that is no error, and may not be meant.
  public struct Note: Sendable, Equatable {
    public let text: String
    /// The setting that changes it.
    public let field: DatasetError.Field?
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
    let listing = SourceListing(job.findings, isArchive: source.isArchive, hasSubset: subset != nil)
    guard !listing.records.isEmpty || !listing.skipped.isEmpty else {
      throw nothingFound(source, otherFiles: listing.otherFiles)
    }
    try writeReport(listing.skipped)
    if isStrict, let first = listing.skipped.first {
      throw strictError(first.path, first.reason)
    }
    guard !listing.records.isEmpty else {
      throw DatasetError(
        input,
        "none of its \(listing.skipped.count) images can be used; the first: \(listing.skipped[0].path): "
          + listing.skipped[0].reason)
    }
    let fingerprint = try job.writer.finish(listing.records, classes: listing.classes) { file in
      let source = (subset.map { [input, $0] } ?? [input]).map(Self.lastName)
      try file.setAttribute("source", source.joined(separator: "/"))
      try file.setAttribute("skipped", listing.skipped.count)
      if let shortSide {
        try file.setAttribute("short_side", shortSide)
        try file.setAttribute("quality", quality)
      }
      if exifOrientation == .apply {
        try file.setAttribute(DatasetFormat.exifOrientation, exifOrientation.rawValue)
      }
    } onSlab: { share in
      try cancellation.check(output)
      progress.written = share
      progress.seconds = Date().timeIntervalSince(started)
      onProgress(progress)
    }
    return Summary(
      images: listing.records.count, classes: listing.classes.count, resized: job.resized,
      skipped: listing.skipped, otherFiles: listing.otherFiles,
      bytes: listing.records.reduce(0) { $0 + $1.size }, fingerprint: fingerprint,
      seconds: Date().timeIntervalSince(started), notes: listing.notes)
  }

  /// What a path is called in its folder; a slash at its end does not count.
  private static func lastName(_ path: String) -> String {
    SourcePath(text: path).components.last.map { SourcePath(bytes: $0).text } ?? path
  }

  /// What an image that cannot be used is where all must be.
  func strictError(_ path: String, _ reason: String) -> DatasetError {
    DatasetError(path, reason, advice: "without strictness such images are skipped", field: .strictness)
  }

  private func nothingFound(_ source: ImageSource, otherFiles: Int) -> DatasetError {
    let place = subset.map { " below '\($0)'" } ?? ""
    let found = otherFiles > 0 ? "; \(otherFiles) files are something else" : ""
    return DatasetError(
      input, "no images\(place): looked for JPEG, PNG and WebP in it and the folders below\(found)",
      advice: (source.isArchive
        ? "expected CLASS/NAME.jpg, or the archives of classes, inside the archive"
        : "expected CLASS/NAME.jpg, or images directly in the folder")
        + (subset == nil ? "" : ", and the folder of the subset"), field: subset == nil ? nil : .subset)
  }

  private func writeReport(_ skipped: [Skipped]) throws {
    guard let report else { return }
    let lines = skipped.map { "\($0.path.printable)\t\($0.reason.printable)\n" }.joined()
    try FileSystem.atomicallyReplace(report) { partial in
      do {
        try Data(lines.utf8).write(to: URL(fileURLWithPath: partial))
      } catch {
        throw DatasetError(report, "cannot write the report: \(error.localizedDescription)")
      }
    }
  }
}
