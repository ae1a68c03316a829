import Foundation
import Hashing
import Imaging
import Storage

/// What a token file says about itself.
public struct TokenFileDescription: Sendable, Equatable {
  /// Images in the dataset the tokens belong to.
  public var count: Int
  /// Views of each image: crops, flipped or not, each with its own tokens.
  public var views: Int
  /// Tokens from top to bottom.
  public var gridHeight: Int
  /// Tokens from left to right.
  public var gridWidth: Int
  /// Tokens in the tokenizer's codebook; tokens are smaller.
  public var codebookSize: Int
  /// `ImageDataset.fingerprint` of the dataset.
  public var datasetFingerprint: UInt64
  /// Identifies the tokenizer's weights.
  public var tokenizerChecksum: UInt64
  /// The seed that crops and flips were drawn with.
  public var seed: UInt64
  /// How crops were resized.
  public var interpolation: ResampleFilter
  /// The number format of the tokenizer's products, as PyTorch calls it.
  public var precision: String

  public init(
    count: Int, views: Int, gridHeight: Int, gridWidth: Int, codebookSize: Int, datasetFingerprint: UInt64,
    tokenizerChecksum: UInt64, seed: UInt64, interpolation: ResampleFilter = .bicubic,
    precision: String = "float32"
  ) {
    self.count = count
    self.views = views
    self.gridHeight = gridHeight
    self.gridWidth = gridWidth
    self.codebookSize = codebookSize
    self.datasetFingerprint = datasetFingerprint
    self.tokenizerChecksum = tokenizerChecksum
    self.seed = seed
    self.interpolation = interpolation
    self.precision = precision
  }

  /// Tokens of one view.
  public var tokensPerView: Int { gridHeight * gridWidth }
}

private enum TokenFormat {
  package static let name = "peco-tokens"
  package static let version = 1
  static let tokens = "tokens"
  static let crops = "crops"
  static let flips = "flips"
}

/// The tokenizer's tokens for every view of every image of a dataset, computed once
/// so that pretraining need not run the tokenizer.
///
/// Crops and flips are kept in memory; tokens are read by `pread`, from any number of threads.
///
/// Unchecked: all is constant; `pread` moves no file position.
public final class TokenFile: @unchecked Sendable {
  /// The path given when the file was opened.
  public let path: String
  /// What the file says about itself.
  public let header: TokenFileDescription

  private let crops: [Float]
  private let flips: [UInt8]
  private let descriptor: Int32
  private let payload: UInt64
  private let isWide: Bool

  /// Opens a token file; throws when it is none, or damaged.
  public init(opening path: String) throws {
    self.path = path
    let file = try HDF5File(opening: path)
    defer { try? file.close() }
    guard (try? file.attribute("format", as: String.self)) == TokenFormat.name else {
      throw DatasetError(
        path, "is an HDF5 file but no token file", advice: "encode a dataset", field: .tokens)
    }
    let version = try file.attribute("format_version", as: Int.self) ?? 0
    guard version == TokenFormat.version else {
      throw DatasetError(
        path, "has token format version \(version), this program reads version \(TokenFormat.version)",
        advice: version > TokenFormat.version ? "use a newer peco" : "encode the dataset anew")
    }
    func required<Value: HDF5AttributeValue>(_ name: String, _ type: Value.Type = Value.self) throws -> Value
    {
      guard let value = try file.attribute(name, as: type) else {
        throw DatasetError(path, "has no attribute '\(name)'", advice: "encode the dataset anew")
      }
      return value
    }
    let header = TokenFileDescription(
      count: try required("images"), views: try required("views"), gridHeight: try required("grid_height"),
      gridWidth: try required("grid_width"), codebookSize: try required("codebook_size"),
      datasetFingerprint: try required("dataset_fingerprint"),
      tokenizerChecksum: try required("tokenizer_checksum"), seed: try required("seed"),
      // Not said before there was another.
      interpolation: try file.attribute("interpolation", as: String.self).flatMap { .init(rawValue: $0) }
        ?? .bicubic,
      precision: try file.attribute("precision", as: String.self) ?? "float32")
    // The sides are checked before they are multiplied.
    guard
      [header.gridHeight, header.gridWidth, header.codebookSize].allSatisfy({ (1..<1 << 31).contains($0) }),
      case let shape = [header.count, header.views, header.tokensPerView], shape.allSatisfy({ $0 > 0 }),
      try file.shape(of: TokenFormat.tokens) == shape,
      try file.shape(of: TokenFormat.crops) == [header.count, header.views, 4],
      try file.shape(of: TokenFormat.flips) == [header.count, header.views],
      let payload = try file.contiguousOffset(of: TokenFormat.tokens)
    else {
      throw DatasetError(
        path, "is damaged: tokens, crops and flips do not have the shapes its attributes tell",
        advice: "encode the dataset anew")
    }
    switch try file.elementType(of: TokenFormat.tokens) {
    case .uint16: isWide = false
    case .int32: isWide = true
    default:
      throw DatasetError(path, "tokens are neither uint16 nor int32", advice: "encode the dataset anew")
    }
    crops = try file.read(TokenFormat.crops)
    // Written so that a NaN fails too.
    guard crops.allSatisfy({ $0 >= 0 && $0 < 0x1p24 }) else {
      throw DatasetError(path, "is damaged: a crop is impossible", advice: "encode the dataset anew")
    }
    flips = try file.read(TokenFormat.flips)
    self.header = header
    self.payload = payload
    descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw DatasetError(path, "cannot open: \(String(cString: strerror(errno)))")
    }
  }

  deinit { close(descriptor) }

  /// Identifies the tokens: the same tokenizer's of the same views of the same images are the same.
  public var checksum: UInt64 {
    var hash = XXHash64()
    Array(header.interpolation.rawValue.utf8).withUnsafeBytes { hash.update($0) }
    for number in [header.datasetFingerprint, header.tokenizerChecksum] {
      withUnsafeBytes(of: number.littleEndian) { hash.update($0) }
    }
    if header.precision != "float32" {
      Array(header.precision.utf8).withUnsafeBytes { hash.update($0) }
    }
    crops.withUnsafeBytes { hash.update($0) }
    flips.withUnsafeBytes { hash.update($0) }
    return hash.value
  }

  /// Throws unless the tokens belong to this dataset.
  public func requireMatch(_ dataset: ImageDataset) throws {
    guard header.datasetFingerprint == dataset.fingerprint, header.count == dataset.count else {
      throw DatasetError(
        path,
        "holds tokens of another dataset (fingerprint \(hexadecimal(header.datasetFingerprint)), "
          + "\(header.count) images) than \(dataset.path) (\(hexadecimal(dataset.fingerprint)), "
          + "\(dataset.count) images)", advice: "encode this dataset",
        field: .tokens)
    }
  }

  /// The crop that a view of an image was encoded from.
  public func crop(_ index: Int, view: Int) -> Region {
    let at = (index * header.views + view) * 4
    return Region(
      x: Int(crops[at]), y: Int(crops[at + 1]), width: Int(crops[at + 2]), height: Int(crops[at + 3]))
  }

  /// Whether a view of an image was flipped.
  public func isFlipped(_ index: Int, view: Int) -> Bool { flips[index * header.views + view] != 0 }

  /// Reads the tokens of a view of an image, row-major.
  public func read(_ index: Int, view: Int, into tokens: UnsafeMutableBufferPointer<Int32>) throws {
    precondition(tokens.count == header.tokensPerView, "\(tokens.count) tokens asked for")
    let first = (index * header.views + view) * tokens.count
    if isWide {
      try read(UnsafeMutableRawBufferPointer(tokens), at: first * 4)
      for i in tokens.indices { tokens[i] = Int32(littleEndian: tokens[i]) }
    } else {
      try withUnsafeTemporaryAllocation(of: UInt16.self, capacity: tokens.count) { stored in
        try read(UnsafeMutableRawBufferPointer(stored), at: first * 2)
        for i in tokens.indices { tokens[i] = Int32(UInt16(littleEndian: stored[i])) }
      }
    }
    let limit = Int32(clamping: header.codebookSize)
    guard tokens.allSatisfy({ $0 >= 0 && $0 < limit }) else {
      throw DatasetError(
        path, "is damaged: a token of image \(index), view \(view), is no entry of the codebook",
        advice: "encode the dataset anew")
    }
  }

  /// The tokens of a view of an image, row-major.
  public func tokens(_ index: Int, view: Int) throws -> [Int32] {
    try [Int32](unsafeUninitializedCapacity: header.tokensPerView) { buffer, count in
      count = header.tokensPerView
      try read(index, view: view, into: UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
    }
  }

  private func read(_ memory: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    do {
      guard try FullRead.fill(memory, from: descriptor, at: Int(payload) + offset) == memory.count else {
        throw DatasetError(path, "is cut short", advice: "copy it again or encode the dataset anew")
      }
    } catch let error as SystemFailure {
      throw DatasetError(path, "cannot read: \(error.reason)")
    }
  }
}

/// Writes a token file, image after image, view after view.
public final class TokenFileWriter {
  private let path: String
  private let file: HDF5File
  private let header: TokenFileDescription
  /// The images at work: their tokens come view by view and are written when the last view has come.
  private var pending: [Row] = []
  private var nextView = 0
  private var written = 0

  private struct Row {
    var tokens: [Int32] = []
    var crops: [Float] = []
    var flips: [UInt8] = []
  }

  /// Writes a whole token file: it appears under its name when `body` has appended all images.
  public static func write(
    to path: String, _ header: TokenFileDescription, _ body: (TokenFileWriter) throws -> Void
  ) throws {
    try HDF5File.atomicallyWrite(to: path) { file in
      let writer = try TokenFileWriter(path, file, header)
      try body(writer)
      guard writer.written == header.count, writer.nextView == 0 else {
        throw DatasetError(
          path, "only \(writer.written) of \(header.count) images were encoded, with all views")
      }
    }
  }

  private init(_ path: String, _ file: HDF5File, _ header: TokenFileDescription) throws {
    self.path = path
    self.file = file
    self.header = header
    try file.setAttribute("format", TokenFormat.name)
    try file.setAttribute("format_version", TokenFormat.version)
    try file.setAttribute("images", header.count)
    try file.setAttribute("views", header.views)
    try file.setAttribute("grid_height", header.gridHeight)
    try file.setAttribute("grid_width", header.gridWidth)
    try file.setAttribute("codebook_size", header.codebookSize)
    try file.setAttribute("dataset_fingerprint", header.datasetFingerprint)
    try file.setAttribute("tokenizer_checksum", header.tokenizerChecksum)
    try file.setAttribute("seed", header.seed)
    try file.setAttribute("interpolation", header.interpolation.rawValue)
    try file.setAttribute("precision", header.precision)
    let shape = [header.count, header.views, header.tokensPerView]
    if header.codebookSize > 1 << 16 {
      try file.createDataset(TokenFormat.tokens, shape: shape, of: Int32.self)
    } else {
      try file.createDataset(TokenFormat.tokens, shape: shape, of: UInt16.self)
    }
    try file.createDataset(TokenFormat.crops, shape: [header.count, header.views, 4], of: Float.self)
    try file.createDataset(TokenFormat.flips, shape: [header.count, header.views], of: UInt8.self)
  }

  /// Appends one view of the next images; the same images come once a view, in order of views.
  ///
  /// - Parameters:
  ///   - tokens: Row-major tokens, image after image.
  ///   - crops: What each image's view was cut from.
  ///   - flips: Whether it was flipped.
  public func append(tokens: [Int32], crops: [Region], flips: [Bool]) throws {
    let images = crops.count
    let size = header.tokensPerView
    precondition(
      flips.count == images && tokens.count == images * size, "tokens, crops and flips disagree")
    guard written + images <= header.count else {
      throw DatasetError(path, "more than the \(header.count) images were encoded")
    }
    if nextView == 0 { pending = [Row](repeating: Row(), count: images) }
    precondition(pending.count == images, "the views of a batch hold different images")
    for i in 0..<images {
      pending[i].tokens += tokens[i * size..<(i + 1) * size]
      pending[i].crops += [crops[i].x, crops[i].y, crops[i].width, crops[i].height].map(Float.init)
      pending[i].flips.append(flips[i] ? 1 : 0)
    }
    nextView += 1
    guard nextView == header.views else { return }
    nextView = 0
    let all = pending.flatMap(\.tokens)
    guard all.allSatisfy({ $0 >= 0 && Int($0) < header.codebookSize }) else {
      throw DatasetError(path, "a token is no entry of a codebook of \(header.codebookSize)")
    }
    if header.codebookSize > 1 << 16 {
      try file.writeSlab(all, to: TokenFormat.tokens, row: written)
    } else {
      try file.writeSlab(all.map { UInt16($0) }, to: TokenFormat.tokens, row: written)
    }
    try file.writeSlab(pending.flatMap(\.crops), to: TokenFormat.crops, row: written)
    try file.writeSlab(pending.flatMap(\.flips), to: TokenFormat.flips, row: written)
    written += images
    pending = []
  }
}

/// How messages and listings show checksums and fingerprints.
public func hexadecimal(_ value: UInt64) -> String {
  let digits = String(value, radix: 16)
  return String(repeating: "0", count: 16 - digits.count) + digits
}
