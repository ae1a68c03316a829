import Datasets
import Terminal

/// Whether two lists of classes are the same: a label is a place in one of them.
package enum ClassAgreement {
  /// Throws unless both have the same names in the same order, with the first differences.
  ///
  /// - Parameters:
  ///   - found: The classes that are there.
  ///   - owner: Whose they are, as messages name it.
  ///   - expected: The classes that are wanted.
  ///   - model: Whose those are.
  package static func require(
    _ found: [String], of owner: String, as expected: [String], of model: String
  ) throws {
    guard !found.isIdentical(to: expected) else { return }
    let different = (0..<max(found.count, expected.count)).filter {
      switch (name(found, $0), name(expected, $0)) {
      case (let present?, let wanted?): !present.isIdentical(to: wanted)
      case (nil, nil): false
      default: true
      }
    }
    let shown = different.prefix(3).map { place in
      let (present, wanted) = (name(found, place), name(expected, place))
      return "class \(place) is \(present.map { "'\($0)'" } ?? "not there"), expected "
        + (wanted.map { "'\($0)'" } ?? "none")
        // Names are compared byte for byte.
        + (present == wanted ? ", the same letters in another form of Unicode" : "")
    }
    let others = different.count > shown.count ? ", and \(different.count - shown.count) more differ" : ""
    throw RunError(
      "\(owner) has other classes than \(model): \(kind(found, expected, different.count)); "
        + "\(shown.joined(separator: ", "))\(others) (counted from 0)")
  }

  /// What kind of difference it is.
  private static func kind(_ found: [String], _ expected: [String], _ different: Int) -> String {
    guard found.count == expected.count else { return "\(found.count), expected \(expected.count)" }
    let (present, wanted) = (Set(found.map { Array($0.utf8) }), Set(expected.map { Array($0.utf8) }))
    guard present != wanted else { return "the same \(found.count) in another order" }
    return "\(different) of \(found.count) have other names"
  }

  private static func name(_ classes: [String], _ place: Int) -> String? {
    classes.indices.contains(place) ? classes[place] : nil
  }
}

extension ImageDataset {
  /// What to warn of before a classifier is trained on the dataset: that all of its labels are one class. Nil where
  /// there are more.
  package var warningOfOneClass: String? {
    var first: Int32?
    for label in labels where label >= 0 {
      if let first, label != first { return nil }
      first = label
    }
    guard let only = first else { return nil }
    return
      "all labeled images of \(path) are of one class, '\(classes[Int(only)])': there is nothing to learn, and "
      + "every accuracy is 100 %"
  }
}
