import Communication
import Configuration
import Datasets

extension ImageDataset {
  /// Opens a dataset on every rank, which all must have the same. Collective.
  public static func open(_ path: String, on communicator: Communicator) throws -> ImageDataset {
    let dataset = try communicator.agree { try namingKeys { try ImageDataset(opening: path) } }
    try communicator.checkEqual(checksum: dataset.fingerprint, what: "the dataset \(path)")
    return dataset
  }
}
