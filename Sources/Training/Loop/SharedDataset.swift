import Communication
import Datasets

extension PictureDataset {
  /// Opens a dataset on every rank, which all must have the same. Collective.
  static func open(_ path: String, on communicator: Communicator) throws -> PictureDataset {
    let dataset = try communicator.agree { try PictureDataset(opening: path) }
    try communicator.checkEqual(checksum: dataset.fingerprint, what: "the dataset \(path)")
    return dataset
  }
}
