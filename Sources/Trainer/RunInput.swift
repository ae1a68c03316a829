import Terminal

/// What a run reads beside its configuration, and what must be the same at every start for it to stay the same run.
/// A task makes those of its own.
public struct RunInput: Sendable {
  /// Its name; a checkpoint keeps the checksum as `NAME_checksum`.
  let name: String
  /// What tells it from others.
  let checksum: UInt64
  /// What goes wrong where it is another, and what to do: "on …: its targets would change; give …".
  let difference: String
  /// Whether it is meant to be another where `data.path` is.
  let followsImages: Bool

  /// An input of this start.
  ///
  /// - Parameters:
  ///   - name: What checkpoints call it.
  ///   - checksum: What tells it from others.
  ///   - difference: What a checkpoint was trained on or with that is another one now, why that matters, and what to
  ///     do; it follows "was trained".
  ///   - followsImages: Whether other images bring another one.
  public init(_ name: String, checksum: UInt64, difference: String, followsImages: Bool = false) {
    self.name = name
    self.checksum = checksum
    self.difference = difference
    self.followsImages = followsImages
  }

  /// The images, which every run has.
  static func images(checksum: UInt64) -> RunInput {
    RunInput(
      "data", checksum: checksum,
      difference: "on other images than lie at data.path now; bring those back, or give another path if "
        + "others are meant",
      followsImages: true)
  }
}

extension CheckpointHeader {
  /// Throws where a run that goes on from here would have other inputs than it began with.
  ///
  /// - Parameters:
  ///   - present: The inputs of this start; those that either does not know are not compared.
  ///   - configuration: The configuration of this start. Images of another path are meant to be others.
  ///   - path: The checkpoint.
  func require(sameInputsAs present: [RunInput], configuration: String, of path: String) throws {
    let changes = RunDirectory.differences(from: self.configuration, to: configuration)
    let hasOtherImages = changes.contains { $0.hasPrefix("data.path:") }
    for input in present {
      guard let earlier = inputs[input.name], earlier != input.checksum else { continue }
      guard !(input.followsImages && hasOtherImages) else { continue }
      throw RunError("\(path) was trained \(input.difference), or choose another --run")
    }
  }
}
