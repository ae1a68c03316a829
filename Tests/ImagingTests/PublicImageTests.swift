import Foundation
import Imaging
import Testing

/// Images that others made to find out what a decoder does: PngSuite, libjpeg-turbo's and libpng's.
@Suite struct PublicImageTests {
  private struct Entry: Decodable {
    let name: String
    let size: Int
    /// Whether Pillow reads it.
    let reads: Bool
    /// Of its pixels, in PNG.
    let crc: UInt32
    /// The mean colors of 4 × 4 cells, in JPEG.
    let cells: [Double]
  }

  @Test func whatPillowReadsIsReadAlike() throws {
    let entries = try JSONDecoder().decode(
      [Entry].self, from: Data(contentsOf: URL(fileURLWithPath: fixturePath("public.json"))))
    let all = try fixture("public.images")
    // Chunks beside the pixels are empty, for which Pillow leaves the whole image; and a chunk claims more bytes than
    // the format can count, of which Pillow takes what there is.
    let (isReadHereAlone, isReadByPillowAlone) = ("empty_ancillary_chunks.png", "huge_IDAT.png")
    #expect(entries.count > 310 && entries.reduce(0) { $0 + $1.size } == all.count)
    var start = 0
    for entry in entries {
      let bytes = Array(all[start..<(start + entry.size)])
      start += entry.size
      if [isReadHereAlone, isReadByPillowAlone].contains(entry.name) {
        let isReadHere = entry.name == isReadHereAlone
        #expect(entry.reads != isReadHere, "\(entry.name)")
        #expect(((try? Image(decoding: bytes)) != nil) == isReadHere, "\(entry.name)")
        continue
      }
      guard entry.reads else {
        #expect(imagingError { try Image(decoding: bytes) } != nil, "\(entry.name)")
        continue
      }
      let image = try #require(try? Image(decoding: bytes), "\(entry.name)")
      if entry.cells.isEmpty {
        #expect(crc(image.pixels) == entry.crc, "\(entry.name)")
      } else {
        #expect(zip(cells(image), entry.cells).allSatisfy { abs($0 - $1) < 1 }, "\(entry.name)")
      }
    }
  }

  /// The sum that zlib's `crc32` gives.
  private func crc(_ bytes: [UInt8]) -> UInt32 {
    ~bytes.reduce(~0) { sum, byte in
      (0..<8).reduce(sum ^ UInt32(byte)) { value, _ in value >> 1 ^ (value & 1) * 0xEDB8_8320 }
    }
  }

  private func cells(_ image: Image) -> [Double] {
    // As numpy's array_split: the first parts are larger by one where it does not come out even.
    func parts(_ count: Int) -> [Range<Int>] {
      var start = 0
      return (0..<4).map { part in
        let size = count / 4 + (part < count % 4 ? 1 : 0)
        defer { start += size }
        return start..<(start + size)
      }
    }
    var means: [Double] = []
    for rows in parts(image.height) {
      for columns in parts(image.width) {
        for channel in 0..<3 {
          var sum = 0
          for y in rows { for x in columns { sum += Int(image.pixels[(y * image.width + x) * 3 + channel]) } }
          means.append(Double(sum) / Double(rows.count * columns.count))
        }
      }
    }
    return means
  }
}
