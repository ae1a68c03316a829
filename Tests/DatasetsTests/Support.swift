import Datasets
import Foundation
import Preparation
import Testing

/// Runs `body` with a folder of its own, removed afterwards.
func withTemporaryFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("peco-\(UUID().uuidString)").path
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: folder) }
  return try body(folder)
}

/// The text of the error that `body` throws; fails the test when it throws none.
func message(_ body: () throws -> Void) -> String {
  do {
    try body()
    Issue.record("no error was thrown")
    return ""
  } catch {
    return "\(error)"
  }
}

/// Writes a file of text or bytes, making the folders on the way.
func write(_ bytes: [UInt8], to path: String) throws {
  let folder = (path as NSString).deletingLastPathComponent
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  try Data(bytes).write(to: URL(fileURLWithPath: path))
}

/// Writes a file at a path of bytes, which need not be UTF-8; false where the file system has no such names.
func write(_ content: [UInt8], folder: String, name: [UInt8]) throws -> Bool {
  let path = Array(folder.utf8) + [UInt8(ascii: "/")] + name
  for end in path.indices where path[end] == UInt8(ascii: "/") && end > 0 {
    if mkdir(path[..<end].map { CChar(bitPattern: $0) } + [0], 0o777) != 0, errno != EEXIST { return false }
  }
  guard let file = fopen(path.map { CChar(bitPattern: $0) } + [0], "w") else { return false }
  defer { fclose(file) }
  return fwrite(content, 1, content.count, file) == content.count
}

/// The path of a fixture of this folder.
func fixturePath(_ name: String) -> String {
  URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures/\(name)").path
}

/// Prepares an input; gives what came of it and the dataset.
func prepare(
  _ input: String, in folder: String, _ change: (inout DatasetPreparation) -> Void = { _ in }
) throws -> (summary: DatasetPreparation.Summary, dataset: ImageDataset) {
  var preparation = DatasetPreparation(input: input, output: "\(folder)/\(UUID().uuidString).h5")
  preparation.workers = 2
  change(&preparation)
  let summary = try preparation.run()
  return (summary, try ImageDataset(opening: preparation.output))
}

func bytes(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: path))) }

/// A small dataset of drawn images.
func makeDataset(_ folder: String, count: Int, size: Int = 40, seed: UInt64 = 1, name: String = "data.h5")
  throws
  -> ImageDataset
{
  let path = "\(folder)/\(name)"
  var synthesis = DatasetSynthesis(count: count, size: size, seed: seed)
  synthesis.workers = 2
  _ = try synthesis.write(dataset: path)
  return try ImageDataset(opening: path)
}

/// Builds tar archives.
struct TarArchive {
  private(set) var bytes: [UInt8] = []

  /// Adds a member; `prefix` goes to the field of that name.
  mutating func add(
    _ name: String, _ payload: [UInt8], type: Character = "0", prefix: String = "", link: String = "",
    claiming size: Int? = nil
  ) {
    var header = [UInt8](repeating: 0, count: 512)
    func put(_ text: String, at offset: Int) {
      for (i, byte) in text.utf8.enumerated() { header[offset + i] = byte }
    }
    put(String(name.prefix(100)), at: 0)
    put("0000644\0", at: 100)
    if let size, size >= 1 << 33 {
      // GNU's form of large numbers.
      header[124] = 0x80
      for i in 0..<8 { header[135 - i] = UInt8(truncatingIfNeeded: size >> (8 * i)) }
    } else {
      put(octal(size ?? payload.count, 11), at: 124)
    }
    put(link, at: 157)
    put("        ", at: 148)
    header[156] = type.asciiValue ?? 48
    put("ustar\u{0}00", at: 257)
    put(prefix, at: 345)
    put(octal(header.reduce(0) { $0 + Int($1) }, 6) + "\0 ", at: 148)
    bytes += header + payload + [UInt8](repeating: 0, count: (512 - payload.count % 512) % 512)
  }

  /// Adds a member whose long name goes before it, as GNU tar does.
  mutating func add(longName: String, _ payload: [UInt8]) {
    add("././@LongLink", Array(longName.utf8) + [0], type: "L")
    add(longName, payload)
  }

  /// Adds a member whose name stands in a pax header.
  mutating func add(paxName: String, _ payload: [UInt8]) {
    let body = " path=\(paxName)\n"
    var length = body.utf8.count
    while "\(length)".utf8.count + body.utf8.count != length {
      length = "\(length)".utf8.count + body.utf8.count
    }
    add("PaxHeaders/x", Array("\(length)\(body)".utf8), type: "x")
    add("short", payload)
  }

  /// The archive with its end.
  var finished: [UInt8] { bytes + [UInt8](repeating: 0, count: 1024) }

  private func octal(_ value: Int, _ digits: Int) -> String {
    let text = String(value, radix: 8)
    return String(repeating: "0", count: digits - text.count) + text
  }
}

extension TarArchive {
  /// Adds a sparse file in POSIX's form: a map of offsets and sizes stands before what is not zero.
  mutating func add(paxRecords: [String: String], sparseMap: [(offset: Int, size: Int)], _ data: [UInt8]) {
    var records = ""
    for (key, value) in paxRecords.sorted(by: { $0.key < $1.key }) {
      let body = " \(key)=\(value)\n"
      var length = body.utf8.count
      while "\(length)".utf8.count + body.utf8.count != length {
        length = "\(length)".utf8.count + body.utf8.count
      }
      records += "\(length)\(body)"
    }
    add("PaxHeaders/x", Array(records.utf8), type: "x")
    var map = Array("\(sparseMap.count)\n".utf8)
    for part in sparseMap { map += Array("\(part.offset)\n\(part.size)\n".utf8) }
    map += [UInt8](repeating: 0, count: 512 - map.count % 512)
    add("GNUSparseFile.0/x", map + data)
  }
}
