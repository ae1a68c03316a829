import ArgumentParser
import Datasets
import Foundation
import TaskSupport
import Terminal

/// `peco dataset info`: what a dataset file holds.
struct DatasetInfoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "info", abstract: "Shows the contents of a dataset file.",
    discussion: """
      Images, their sizes, classes, source, and the fingerprint that checkpoints keep.

      Example:
        peco dataset info runs/quickstart/images.h5
      """)

  @Argument(help: "Dataset file.", completion: .hdf5)
  var file: String

  @Flag(help: "Print one JSON object in place of text.")
  var json = false

  func run() throws {
    let dataset = try ImageDataset(opening: file)
    var perClass = [Int](repeating: 0, count: dataset.classes.count)
    for label in dataset.labels where label >= 0 { perClass[Int(label)] += 1 }
    let heights = (dataset.heights.min() ?? 0, dataset.heights.max() ?? 0)
    let widths = (dataset.widths.min() ?? 0, dataset.widths.max() ?? 0)
    let bytes = Int(dataset.totalBytes)
    if json {
      var object: [String: Any] = [
        "path": file, "images": dataset.count, "bytes": bytes, "classes": dataset.classes.count,
        "fingerprint": hexadecimal(dataset.fingerprint), "height_min": Int(heights.0),
        "height_max": Int(heights.1), "width_min": Int(widths.0), "width_max": Int(widths.1),
      ]
      object["source"] = dataset.source
      object["skipped"] = dataset.skipped
      object["short_side"] = dataset.shortSide
      object["quality"] = dataset.quality
      object["turned"] = dataset.turned
      let data = try JSONSerialization.data(withJSONObject: object, options: [.sortedKeys])
      print(String(decoding: data, as: UTF8.self))
      return
    }
    print(file)
    func row(_ name: String, _ value: String) {
      print("  " + name.padding(toLength: 13, withPad: " ", startingAt: 0) + value)
    }
    row(
      "images",
      "\(dataset.count), \(Quantity.bytes(bytes)), \(Quantity.bytes(bytes / dataset.count)) each")
    row("size", "width \(widths.0) to \(widths.1), height \(heights.0) to \(heights.1) pixels")
    if dataset.classes.isEmpty {
      row("classes", "none: the images have no labels")
    } else {
      let names =
        dataset.classes.prefix(10).joined(separator: ", ").printable
        + (dataset.classes.count > 10 ? ", ..." : "")
      let counts = (perClass.min() ?? 0, perClass.max() ?? 0)
      let each =
        counts.0 == counts.1 ? "\(counts.0) images each" : "\(counts.0) to \(counts.1) images each"
      row("classes", "\(dataset.classes.count), \(each): \(names)")
    }
    row("source", "\(dataset.source), \(dataset.skipped) skipped")
    if let shortSide = dataset.shortSide {
      row(
        "resized", "short side at most \(shortSide)" + (dataset.quality.map { ", JPEG quality \($0)" } ?? ""))
    }
    if let turned = dataset.turned { row("orientation", "as cameras noted it: \(turned) images are turned") }
    row("fingerprint", hexadecimal(dataset.fingerprint))
  }
}
