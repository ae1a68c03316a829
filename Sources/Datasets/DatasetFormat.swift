/// Names and numbers of the dataset file; `docs/formats.md` describes it.
enum DatasetFormat {
  static let name = "peco-dataset"
  static let version = 1

  static let bytes = "images/bytes"
  static let offsets = "images/offsets"
  static let heights = "images/height"
  static let widths = "images/width"
  static let checksums = "images/checksum"
  static let labels = "labels"
  static let classes = "classes"
  static let names = "names"
}
