import Datasets
import Foundation
import Storage

/// Where images come from: a folder, or an archive read as a stream.
///
/// An archive that lies in either counts as a folder. What the first bytes of a file say decides what it is.
enum ImageSource: Sendable {
  case folder(String)
  case archive(String)

  /// Something found in a source.
  struct Found: Sendable {
    enum Content: Sendable {
      /// An image, or what is named like one, in a file.
      case file([UInt8])
      /// The bytes of an image.
      case bytes([UInt8])
      /// Another name for a file of the source that came before.
      case link(to: SourcePath)
      /// Cannot be used, for this reason, though it is meant to be an image.
      case unusable(String)
      /// Named like an archive, and none; as one it would stand for a folder.
      case brokenArchive(folder: SourcePath)
      /// Cannot be looked at, for this reason; it may not be an image.
      case unreadable(String)
      /// A file that is no image.
      case other
      case folder
    }
    /// Its path in the source, or in the subset.
    let name: SourcePath
    /// Its place in the order in which the source has it.
    let order: Int
    let content: Content
  }

  /// Finds out what `path` is; throws when nothing is there.
  init(path: String) throws {
    var information = stat()
    guard stat(path, &information) == 0 else {
      throw DatasetError(
        path, "cannot open: \(String(cString: strerror(errno)))", advice: "check the input",
        field: .input)
    }
    self = OpenFile.Kind(information) == .folder ? .folder(path) : .archive(path)
  }

  var isArchive: Bool { if case .archive = self { true } else { false } }

  /// Calls `body` with everything found, in the source's order.
  ///
  /// - Parameters:
  ///   - subset: Only what lies below this folder of the source; paths are then relative to it.
  ///   - isCancelled: Asked again and again; where it says so, this throws.
  ///   - body: Stops everything early by answering false.
  func forEach(
    subset: String?, isCancelled: @escaping () -> Bool, _ body: @escaping (Found) throws -> Bool
  ) throws {
    let walk = SourceWalk(
      subset: subset.map { SourcePath(text: $0).components } ?? [], mayStartBelow: isArchive, isCancelled,
      body)
    do {
      switch self {
      case .folder(let path): try walk.folder(Array(path.utf8), at: [])
      case .archive(let path): try walk.archive(file: path)
      }
    } catch is SourceWalk.Stopped {}
  }
}

/// One way through a source: what folders and archives have in common.
final class SourceWalk {
  typealias Content = ImageSource.Found.Content

  /// Nothing more is wanted.
  struct Stopped: Error {}

  /// The largest image that is taken out of an archive.
  static let largestImage = 1 << 30
  /// How deep archives may lie in one another.
  static let deepest = 8

  let isCancelled: () -> Bool
  let subset: [[UInt8]]
  /// What archives may unpack to.
  var limit = UnpackingLimit()
  /// Links to what lies outside of the subset, by what they lead to.
  var linksOutside: [SourcePath: [(name: SourcePath, order: Int)]] = [:]
  private let mayStartBelow: Bool
  private let body: (ImageSource.Found) throws -> Bool
  private var order = 0

  init(
    subset: [[UInt8]], mayStartBelow: Bool, _ isCancelled: @escaping () -> Bool,
    _ body: @escaping (ImageSource.Found) throws -> Bool
  ) {
    self.subset = subset
    self.mayStartBelow = mayStartBelow
    self.isCancelled = isCancelled
    self.body = body
  }

  /// Hands something over, if it lies in the subset.
  func give(_ path: [[UInt8]], _ content: @autoclosure () throws -> Content) throws {
    order += 1
    guard let name = name(path) else { return }
    try give(name, order, try content())
  }

  func give(_ name: SourcePath, _ order: Int, _ content: Content) throws {
    guard try body(ImageSource.Found(name: name, order: order, content: content)) else { throw Stopped() }
  }

  /// Hands over what was taken for an archive and is none.
  func give(noArchive path: [[UInt8]], standingFor folder: [[UInt8]], isNamed: Bool) throws {
    try give(path, isNamed ? .brokenArchive(folder: name(folder) ?? SourcePath(folder)) : .other)
  }

  /// Hands a hard link over: what it leads to may lie outside of the subset.
  func give(link path: [[UInt8]], to target: [[UInt8]]) throws {
    if let target = name(target) { return try give(path, .link(to: target)) }
    order += 1
    guard let name = name(path) else { return }
    linksOutside[SourcePath(target), default: []].append((name, order))
  }

  /// The path below the subset, which starts at the top, or in an archive below the one folder around everything.
  func name(_ path: [[UInt8]]) -> SourcePath? {
    if subset.isEmpty { return SourcePath(path) }
    for skipped in 0...(mayStartBelow ? 1 : 0) where path.count > skipped + subset.count {
      if path[skipped..<skipped + subset.count].elementsEqual(subset) {
        return SourcePath(path[(skipped + subset.count)...])
      }
    }
    return nil
  }

  /// Whether a folder of the input may hold some of the subset.
  func concerns(folder path: [[UInt8]]) -> Bool {
    path.count <= subset.count ? subset.starts(with: path) : path.starts(with: subset)
  }

  /// What nobody means by a file: it begins with a dot, or is where a Macintosh keeps such files in a zip.
  static func isHidden(_ name: [UInt8]) -> Bool {
    name.first == SourcePath.dot || name == Array("__MACOSX".utf8)
  }
}
