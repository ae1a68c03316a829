/// Names and numbers of the dataset file; `docs/formats.md` describes it.
package enum DatasetFormat {
  package static let name = "peco-dataset"
  package static let version = 1

  package static let bytes = "images/bytes"
  package static let offsets = "images/offsets"
  package static let heights = "images/height"
  package static let widths = "images/width"
  package static let checksums = "images/checksum"
  package static let labels = "labels"
  package static let classes = "classes"
  package static let names = "names"
}
