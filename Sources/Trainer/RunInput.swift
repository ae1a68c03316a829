import Terminal

/// What a run reads beside its configuration, and what must be the same at every start for it to stay the same run.
public enum RunInput: String, Sendable, CaseIterable {
  /// The tokenizer whose tokens are predicted.
  case tokenizer
  /// The file that tokens come from, where they are not computed on the fly.
  case tokens
  /// The network whose features a tokenizer's reconstructions are compared by.
  case perceptual
  /// The images.
  case data

  /// The attribute of a checkpoint that holds its checksum.
  var attribute: String { "\(rawValue)_checksum" }

  /// What goes wrong where it is another, and what to do.
  fileprivate var difference: String {
    switch self {
    case .tokenizer:
      "on the tokens of another tokenizer than the present one: its targets would change; give the tokenizer it began "
        + "with (by its checkpoint, if its run went on since)"
    case .tokens:
      "on another token file than tokens.file is now: its targets would change; give the file it began with"
    case .perceptual:
      "with another perceptual network than the present one: its loss would change; give the network it began with "
        + "(by its checkpoint, if its run went on since)"
    case .data:
      "on other images than lie at data.path now; bring those back, or give another path if others are meant"
    }
  }
}

extension CheckpointHeader {
  /// Throws where a run that goes on from here would have other inputs than it began with.
  ///
  /// - Parameters:
  ///   - path: The checkpoint.
  ///   - present: The inputs of this start; those that either does not know are not compared.
  ///   - configuration: The configuration of this start. Images of another path are meant to be others, and come with
  ///     another token file.
  func require(sameInputsAs present: [RunInput: UInt64], configuration: String, of path: String) throws {
    for input in RunInput.allCases {
      guard let earlier = inputs[input], let now = present[input], earlier != now else { continue }
      let changes = RunDirectory.differences(from: self.configuration, to: configuration)
      guard ![.data, .tokens].contains(input) || !changes.contains(where: { $0.hasPrefix("data.path:") })
      else { continue }
      throw RunError("\(path) was trained \(input.difference), or choose another --run")
    }
  }
}
