import Tensors

extension ImageDataset {
  /// A part of the images, the same share of every class and at least one of each, drawn by the seed; ascending.
  ///
  /// - Parameters:
  ///   - share: More than 0, at most 1.
  ///   - seed: Another seed draws other images.
  public func labeledShare(_ share: Double, seed: UInt64) -> [Int] {
    var members = [[Int]](repeating: [], count: classes.count)
    for (index, label) in labels.enumerated() where label >= 0 { members[Int(label)].append(index) }
    return members.enumerated().flatMap { label, members -> [Int] in
      guard !members.isEmpty else { return [] }
      var stream = RandomStream(seed: seed, purpose: .labels, index: label)
      let order = stream.permutation(members.count)
      let count = max(1, Int((share * Double(members.count)).rounded()))
      return order.prefix(count).map { members[$0] }
    }.sorted()
  }

  /// Throws unless every image has a class.
  public func requireLabels() throws {
    guard !classes.isEmpty, !labels.contains(-1) else {
      throw DatasetError(
        path, "has images without a class",
        advice: "prepare it from folders named after the classes (CLASS/NAME.jpg)")
    }
  }
}
