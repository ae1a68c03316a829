/// Names and numbers of the dataset file; `docs/formats.md` describes it.
package enum DatasetFormat {
  package static let name = "peco-dataset"
  package static let version = 1
  /// Of a file with `orientations`: programs that do not know of them must not read it.
  package static let versionWithOrientation = 2

  package static let bytes = "images/bytes"
  package static let offsets = "images/offsets"
  package static let heights = "images/height"
  package static let widths = "images/width"
  package static let orientations = "images/orientation"
  package static let checksums = "images/checksum"
  package static let labels = "labels"
  package static let classes = "classes"
  package static let names = "names"
  /// The attribute that says what was done with the orientation that cameras noted.
  package static let exifOrientation = "exif_orientation"
}
