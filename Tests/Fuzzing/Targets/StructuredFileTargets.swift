import CHDF5
import Foundation
import Hashing
import Imaging

@testable import Datasets
@testable import Storage
@testable import Trainer

// HDF5 reads damaged files in its own way. These are sound files with contents of any kind: what has the names of ours,
// and other types, shapes and values.

extension FuzzTarget {
  /// An image dataset, opened, read, and shown.
  static let dataset = FuzzTarget(name: "dataset") { input in
    var choices = Choices(input)
    let path = "\(Scratch.folder)/dataset.h5"
    let file = try HDF5File(creating: path)
    try choices.setAttribute("format", of: file, sound: DatasetFormat.name)
    try choices.setAttribute("format_version", of: file, sound: 2)
    try choices.setAttribute("source", of: file, sound: "images")
    for name in ["skipped", "short_side", "quality", "fingerprint", DatasetFormat.exifOrientation] {
      try choices.setAttribute(name, of: file, sound: Int?.none)
    }
    let images = pictures
    try choices.write(DatasetFormat.bytes, to: file, sound: images.joined().map(\.self))
    let offsets = [0, images[0].count, images[0].count + images[1].count]
    try choices.write(DatasetFormat.offsets, to: file, sound: offsets.map(UInt64.init))
    try choices.write(DatasetFormat.heights, to: file, sound: [Int32](repeating: 4, count: 2))
    try choices.write(DatasetFormat.widths, to: file, sound: [Int32](repeating: 4, count: 2))
    try choices.write(DatasetFormat.checksums, to: file, sound: images.map { XXHash64.hash($0) })
    try choices.write(DatasetFormat.orientations, to: file, sound: [1, 6] as [UInt8])
    try choices.write(DatasetFormat.labels, to: file, sound: [0, 1] as [Int32])
    try choices.write(DatasetFormat.classes, to: file, sound: ["a", "b"])
    try choices.write(DatasetFormat.names, to: file, sound: ["a/1.png", "b/2.png"])
    try file.close()
    try show(ImageDataset(opening: path))
  }

  /// The header of a checkpoint.
  static let checkpoint = FuzzTarget(name: "checkpoint") { input in
    var choices = Choices(input)
    let path = "\(Scratch.folder)/checkpoint.h5"
    let file = try HDF5File(creating: path)
    try choices.setAttribute("format", of: file, sound: CheckpointHeader.currentFormat)
    try choices.setAttribute("task", of: file, sound: CheckpointHeader.imported)
    for name in ["step", "epoch", "sample_position", "updates", "seed"] {
      try choices.setAttribute(name, of: file, sound: 0)
    }
    try choices.setAttribute("configuration", of: file, sound: "")
    for name in ["dataset_checksum", "dataset_path", "_checksum"] {
      try choices.setAttribute(name, of: file, sound: 1)
    }
    try choices.setAttribute("origin", of: file, sound: String?.none)
    let card = String(decoding: choices.remainder(), as: UTF8.self)
    if !card.isEmpty, !card.utf8.contains(0) { try file.setAttribute("model_card", card) }
    try file.close()
    let opened = try HDF5File(opening: path)
    defer { try? opened.close() }
    _ = try CheckpointHeader(reading: opened)
  }

  private static let pictures: [[UInt8]] = (0..<2).compactMap { number in
    try? Image(width: 4, height: 4, pixels: [UInt8](repeating: UInt8(number), count: 48)).png()
  }

  private static func show(_ dataset: ImageDataset) throws {
    let decoder = CropDecoder()
    var (bytes, pixels) = ([UInt8](), [Float](repeating: 0, count: 8 * 8 * 3))
    for index in 0..<min(dataset.count, 4) {
      _ = dataset.describe(index)
      for rule in [CropRule.center(), .randomResized()] {
        let crop = rule.region(
          width: Int(dataset.widths[index]), height: Int(dataset.heights[index]), seed: 1, epoch: 0,
          index: index)
        do {
          try dataset.read(index, into: &bytes)
          try bytes.withUnsafeBytes { bytes in
            try pixels.withUnsafeMutableBufferPointer { pixels in
              guard let pixels = pixels.baseAddress else { return }
              _ = try decoder.decode(
                bytes, crop: crop, width: 8, height: 8, orientation: dataset.orientation(index), into: pixels)
            }
          }
        } catch { precondition(!"\(error)".isEmpty) }
      }
    }
  }
}

extension Choices {
  /// Sets an attribute: the sound value in most cases, otherwise any value of any kind.
  fileprivate mutating func setAttribute<Value: HDF5AttributeValue>(
    _ name: String, of file: HDF5File, sound value: Value?
  ) throws {
    switch below(12) {
    case 1: break
    case 2: try file.setAttribute(name, String(decoding: bytes().filter { $0 != 0 }, as: UTF8.self))
    case 3: try file.setAttribute(name, Int(number()))
    case 4: try file.setAttribute(name, UInt64(bitPattern: number()))
    case 5: try file.setAttribute(name, Double(bitPattern: UInt64(bitPattern: number())))
    case 6: setRaw(name, of: file, H5Screate(H5S_NULL))
    case 7: setRaw(name, of: file, H5Screate(H5S_SCALAR))
    case 8: setRaw(name, of: file, H5Screate_simple(1, [hsize_t(below(4))], nil))
    default: if let value { try file.setAttribute(name, value) }
    }
  }

  /// An attribute that `HDF5File` does not write: of another type, or with another shape.
  private mutating func setRaw(_ name: String, of file: HDF5File, _ space: hid_t) {
    let text = H5Tcopy(peco_h5_string_type())
    let types = [
      peco_h5_native_uint8(), peco_h5_native_int32(), peco_h5_native_float(), peco_h5_native_double(), text,
    ]
    let choice = below(types.count + 1)
    // The last one is a text of a fixed length.
    let type = choice < types.count ? H5Tcopy(types[choice]) : H5Tcreate(H5T_STRING, 1 + below(64))
    let contents = bytes() + [UInt8](repeating: 0, count: 256)
    try? file.withFile { identifier in
      H5Adelete(identifier, name)
      let attribute = H5Acreate2(identifier, name, type, space, 0, 0)
      if choice != 4, attribute >= 0 { H5Awrite(attribute, type, contents) }
      if attribute >= 0 { H5Aclose(attribute) }
    }
    H5Tclose(type)
    H5Tclose(text)
    H5Sclose(space)
  }

  /// Writes a dataset of numbers: the sound values in most cases, otherwise any of any type in any shape.
  fileprivate mutating func write<Number: HDF5Scalar & FixedWidthInteger>(
    _ name: String, to file: HDF5File, sound values: [Number]
  ) throws {
    func any<Other: HDF5Scalar & FixedWidthInteger>(_ type: Other.Type, in file: HDF5File) throws {
      let count = below(5)
      let values = (0..<count).map { _ in Other(truncatingIfNeeded: number() >> (8 * Int64(below(8)))) }
      let isSquare = count == 4 && below(2) == 1
      try file.write(values, shape: isSquare ? [2, 2] : [count], to: name, checksum: below(4) == 3)
    }
    switch below(12) {
    case 1: break
    case 2: try any(Number.self, in: file)
    case 3: try any(UInt8.self, in: file)
    case 4: try any(Int64.self, in: file)
    case 5: try write(name, to: file, sound: ["a"])
    case 6: try file.write(values, shape: [values.count], to: name, checksum: true)
    case 7: try file.write([Float(0)], shape: [], to: name)
    case 8:
      var changed = values
      if !changed.isEmpty { changed[below(changed.count)] = Number(truncatingIfNeeded: number()) }
      try file.write(changed, shape: [changed.count], to: name)
    default: try file.write(values, shape: [values.count], to: name)
    }
  }

  fileprivate mutating func write(_ name: String, to file: HDF5File, sound values: [String]) throws {
    switch below(8) {
    case 1: break
    case 2:
      let texts = (0..<below(5)).map { _ in String(decoding: bytes().filter { $0 != 0 }, as: UTF8.self) }
      try file.write(strings: texts, to: name)
    case 3: try file.write([1, 2] as [Int32], shape: [2], to: name)
    default: try file.write(strings: values, to: name)
    }
  }
}
