import Imaging

/// What a file is, by its first bytes; its name counts where these say nothing.
enum ContentKind {
  case image
  /// An archive, as it seems: `isNamed` where the name says so too.
  case archive(isNamed: Bool)
  /// Meant to be an image or an archive, and cannot be used for this reason.
  case unusable(String)
  /// Neither an image nor an archive.
  case other

  /// How many bytes tell it.
  static let length = 512

  /// Endings of what is meant to be an image, whether or not it can be read.
  private static let imageEndings = Set(
    """
    jpg jpeg jpe jfif jif png apng webp bmp dib gif tif tiff heic heif avif jp2 j2k jpx jxl ppm pgm pbm pnm tga psd \
    ico exr hdr dds svg cr2 nef arw dng
    """.split(separator: " ").map { Array($0.utf8) })
  /// Endings of archives that can be read.
  private static let archiveEndings = Set(
    "tar tgz tbz tbz2 txz tzst zip".split(separator: " ").map { Array($0.utf8) })
  private static let packedEndings = Set("gz bz2 xz zst".split(separator: " ").map { Array($0.utf8) })
  /// Endings of those that cannot.
  private static let foreignArchiveEndings = Set(
    "7z rar tlz lzma lz4 ace".split(separator: " ").map { Array($0.utf8) })

  /// - Parameters:
  ///   - head: the first bytes, as many as `length` if there are so many.
  ///   - name: the file's name.
  init(_ head: UnsafeRawBufferPointer, name: [UInt8]) {
    if ImageFormat.detect(head) != nil {
      self = .image
    } else if let format = ImageFormat.foreignName(head) {
      self = .unusable("is \(format), which cannot be read: convert it to JPEG, PNG or WebP")
    } else if Self.isNamedImage(name) {
      self = .unusable(head.isEmpty ? "is empty" : ImageFormat.unknown)
    } else if Self.isNamedArchive(name) {
      self = .archive(isNamed: true)
    } else if Self.foreignArchiveEndings.contains(Self.ending(name)) {
      self = .unusable("is an archive of a kind that cannot be read: pack it as a tar or a zip")
    } else {
      self = Self.isArchive(head) ? .archive(isNamed: false) : .other
    }
  }

  /// Whether a name ends as those of images do, in any case of letters.
  static func isNamedImage(_ name: [UInt8]) -> Bool { imageEndings.contains(ending(name)) }

  /// Whether something begins as a zip does, also an empty one.
  static func isZip(_ head: UnsafeRawBufferPointer) -> Bool {
    head.starts(with: [0x50, 0x4B, 3, 4]) || head.starts(with: [0x50, 0x4B, 5, 6])
  }

  /// What the folder is called that an archive stands for: its name without the endings of archives.
  static func folderName(ofArchive name: [UInt8]) -> [UInt8] {
    var stem = name
    if packedEndings.contains(ending(stem)) { stem = removingEnding(stem) }
    if archiveEndings.contains(ending(stem)) { stem = removingEnding(stem) }
    return stem
  }

  private static func isNamedArchive(_ name: [UInt8]) -> Bool {
    let last = ending(name)
    if packedEndings.contains(last) { return ending(removingEnding(name)) == Array("tar".utf8) }
    return archiveEndings.contains(last)
  }

  /// Not zips: documents and programs are zips too, and those of images are named so.
  private static func isArchive(_ head: UnsafeRawBufferPointer) -> Bool {
    let starts: [[UInt8]] = [
      [0x1F, 0x8B], [0x42, 0x5A, 0x68], [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0], [0x28, 0xB5, 0x2F, 0xFD],
    ]
    if starts.contains(where: { head.starts(with: $0) }) { return true }
    return head.count >= 262 && head[257..<262].elementsEqual("ustar".utf8)
  }

  /// The lowercase letters behind a name's last dot; none where there is no name before it.
  private static func ending(_ name: [UInt8]) -> [UInt8] {
    guard let dot = name.lastIndex(of: SourcePath.dot), dot > 0 else { return [] }
    return name[(dot + 1)...].map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }
  }

  private static func removingEnding(_ name: [UInt8]) -> [UInt8] {
    name.lastIndex(of: SourcePath.dot).map { Array(name[..<$0]) } ?? name
  }
}
