import Foundation
import Imaging
import Testing

/// What encoded images can say that no sound one does is an error, and never a crash or a long wait.
@Suite struct DamagedImagesTests {
  private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../Fuzzing/Corpus/image").standardized.path
  /// The inputs that fuzzing starts from.
  private static let seeds = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()

  private func bytes(_ seed: String) throws -> [UInt8] {
    Array(try Data(contentsOf: URL(fileURLWithPath: "\(Self.folder)/\(seed)")))
  }

  @Test(arguments: seeds)
  func everySeedIsDecodedOrRefused(_ seed: String) throws {
    let bytes = try bytes(seed)
    func decode(_ bytes: [UInt8]) throws {
      let info = try ImageInfo(bytes)
      guard info.width * info.height < 1 << 16 else { return }
      let orientation = ImageOrientation(exifOf: bytes, format: info.format)
      var pixels = [Float](repeating: 0, count: 8 * 8 * 3)
      try bytes.withUnsafeBytes { bytes in
        try pixels.withUnsafeMutableBufferPointer { pixels in
          guard let pixels = pixels.baseAddress else { return }
          _ = try CropDecoder().decode(bytes, width: 8, height: 8, orientation: orientation, into: pixels)
        }
      }
    }
    // One of them was found, and claims a chunk of 1.6 GB.
    if seed.contains("gigabytes") {
      #expect(throws: ImagingError.self) { try decode(bytes) }
    } else {
      try decode(bytes)
    }
    for place in stride(from: 0, to: bytes.count, by: 11) {
      var changed = bytes
      changed[place] ^= 0xFF
      try? decode(changed)
      try? decode(Array(bytes[..<place]))
    }
  }

  /// A progressive image goes over its pixels once a scan, and a scan may take a few bytes.
  @Test func anImageOfHundredsOfScansIsRefused() throws {
    let whole = try bytes("jpeg-progressive")
    _ = try Image(decoding: whole)
    let starts = whole.indices.dropLast().filter { whole[$0] == 0xFF && whole[$0 + 1] == 0xDA }
    let last = try #require(starts.last)
    let scan = whole[last..<(whole.count - 2)]
    let many = whole.dropLast(2) + Array((0..<200).map { _ in scan }.joined()) + whole.suffix(2)
    let error = #expect(throws: ImagingError.self) { try Image(decoding: Array(many)) }
    #expect(error?.problem.contains("scans") == true, "\(String(describing: error))")
  }
}
