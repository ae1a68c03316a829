import Terminal

/// What a run reads beside its configuration, and what must be the same at every start for it to stay the same run.
/// A task makes those of its own.
public struct RunInput: Sendable {
  /// What a checkpoint keeps of an input.
  public struct Record: Sendable, Equatable {
    /// What tells it from others.
    public var checksum: UInt64
    /// Where it lay, as the configuration says; nil where it came with something else.
    public var path: String?

    public init(checksum: UInt64, path: String? = nil) { (self.checksum, self.path) = (checksum, path) }
  }

  /// Its name; a checkpoint keeps the record as `NAME_checksum` and `NAME_path`.
  let name: String
  /// What is kept of it.
  let record: Record
  /// What goes wrong where it is another, and what to do: "on …: its targets would change; give …".
  let difference: String
  /// Whether it is meant to be another where the images lie elsewhere.
  let followsImages: Bool

  /// An input of this start.
  ///
  /// - Parameters:
  ///   - name: What checkpoints call it.
  ///   - checksum: What tells it from others.
  ///   - path: Where it lies, as the configuration says.
  ///   - difference: What a checkpoint was trained on or with that is another one now, why that matters, and what to
  ///     do; it follows "was trained".
  ///   - followsImages: Whether other images bring another one.
  public init(
    _ name: String, checksum: UInt64, path: String? = nil, difference: String, followsImages: Bool = false
  ) {
    self.name = name
    record = Record(checksum: checksum, path: path)
    self.difference = difference
    self.followsImages = followsImages
  }

  /// What checkpoints call the images.
  static let images = "data"

  /// The images, which every run has.
  static func images(checksum: UInt64, path: String) -> RunInput {
    RunInput(
      images, checksum: checksum, path: path,
      difference: "on other images than lie at data.path now; bring those back, or give another path if "
        + "others are meant",
      followsImages: true)
  }
}

extension CheckpointHeader {
  /// Throws where a run that goes on from here would have other inputs than it began with.
  ///
  /// - Parameters:
  ///   - present: The inputs of this start; those that either does not know are not compared. Images of another path
  ///     are meant to be others.
  ///   - path: The checkpoint.
  func require(sameInputsAs present: [RunInput], of path: String) throws {
    let images = present.first { $0.name == RunInput.images }
    let hasOtherImages = images.map { inputs[$0.name]?.path != $0.record.path } ?? false
    for input in present {
      guard let earlier = inputs[input.name], earlier.checksum != input.record.checksum else { continue }
      guard !(input.followsImages && hasOtherImages) else { continue }
      throw RunError("\(path) was trained \(input.difference), or choose another --run")
    }
  }
}
