import Foundation
import Terminal

/// How a tensor of ours is called elsewhere, and what it is made of there.
///
/// `*` stands for a block's number.
struct NameRule: Sendable {
  /// In which of a library's models the rule holds; in all where it is nil.
  enum Model: Sendable {
    /// BEiT's: relative positions, `q_bias` and `v_bias`.
    case beit
    /// A plain vision transformer: absolute positions, one `qkv.bias`.
    case plain
  }

  /// Our name.
  let ours: String
  /// Their names: equal parts along the first axis, one after another. A part without a name is left out there.
  let theirs: [String?]
  let model: Model?

  init(_ ours: String, _ theirs: String?..., in model: Model? = nil) {
    self.ours = ours
    self.theirs = theirs
    self.model = model
  }

  /// Whether everything of ours has a place there, so that ours can be made of theirs.
  var isWhole: Bool { !theirs.isEmpty && theirs.allSatisfy { $0 != nil } }

  /// The rules of a layer's `weight` and `bias`.
  static func layer(_ ours: String, _ theirs: String) -> [NameRule] {
    ["weight", "bias"].map { NameRule("\(ours).\($0)", "\(theirs).\($0)") }
  }

  /// The number that `*` stands for where a name follows a pattern; 0 where the pattern has none, nil where it does
  /// not follow.
  static func block(of name: String, in pattern: String) -> Int? {
    guard let star = pattern.firstIndex(of: "*") else { return name == pattern ? 0 : nil }
    let (head, tail) = (pattern[..<star], pattern[pattern.index(after: star)...])
    guard name.count > head.count + tail.count, name.hasPrefix(head), name.hasSuffix(tail) else { return nil }
    let number = name.dropFirst(head.count).dropLast(tail.count)
    return number.allSatisfy { $0.isASCII && $0.isNumber } ? Int(number) : nil
  }

  /// The name that a pattern gives for a block.
  static func name(_ pattern: String, block: Int) -> String {
    pattern.replacingOccurrences(of: "*", with: String(block))
  }
}

/// How a library calls the weights of a network: what files are read and written by.
public struct NameTable: Sendable {
  /// Whose names they are.
  let owner: String
  /// A name that every file with these names has, after any prefix.
  let anchor: String
  /// The first rule that fits a name is followed.
  let rules: [NameRule]
  /// Whether the rules have only what is called otherwise than here. What no rule fits then keeps its name, and a
  /// tensor of which parts are missing is an error, for nothing would report it.
  let isPartial: Bool
  /// What names may begin with in files where heads stand beside it.
  let prefix: String
  /// What layer normalization adds to the variance unless a file says otherwise.
  public let normEpsilon: Float

  init(
    _ owner: String, anchor: String, rules: [NameRule] = [], isPartial: Bool = true, prefix: String = "",
    normEpsilon: Float = 1e-6
  ) {
    (self.owner, self.anchor, self.rules, self.isPartial) = (owner, anchor, rules, isPartial)
    (self.prefix, self.normEpsilon) = (prefix, normEpsilon)
  }

  /// What the names of the network begin with among those of a file; nil where it is another network's.
  func prefix(in names: [String]) -> String? {
    // Published weights often lie below a prefix (`module.base_encoder.` in MoCo v3), copies of them below longer ones.
    names.filter { $0 == anchor || $0.hasSuffix("." + anchor) }.min { $0.count < $1.count }
      .map { String($0.dropLast(anchor.count)) }
  }

  /// The names of theirs for the parts of a tensor of ours, in order, nil for a part that is left out; nil where it has
  /// no place there.
  func parts(of ours: String) -> [String?]? {
    for rule in rules {
      guard let block = NameRule.block(of: ours, in: rule.ours) else { continue }
      return rule.theirs.map { $0.map { NameRule.name($0, block: block) } }
    }
    return nil
  }

  /// What a name of theirs stands for: which of how many parts of a tensor of ours.
  fileprivate func meaning(of theirs: String) -> (ours: String, part: Int, count: Int)? {
    for rule in rules where rule.isWhole {
      for (part, pattern) in rule.theirs.enumerated() {
        guard let pattern, let block = NameRule.block(of: theirs, in: pattern) else { continue }
        return (NameRule.name(rule.ours, block: block), part, rule.theirs.count)
      }
    }
    return isPartial ? (theirs, 0, 1) : nil
  }

  /// What lies beside a network's body in files: heads, decoders, the tokens of masked patches. It may be left out; what is
  /// left out of the body makes another network of it.
  static func isBesideBody(_ name: String) -> Bool {
    let first = name.prefix { $0 != "." }
    return heads.contains(String(first)) || first.hasPrefix("decoder")
  }

  private static let heads: Set = [
    "head", "heads", "head_dist", "mlp_head", "lm_head", "pixel_head", "cls_head", "classifier",
    "cls_classifier",
    "distillation_classifier",
    "fc", "pre_logits", "pooler", "attn_pool", "norm", "fc_norm", "layernorm", "mask_token", "projector",
    "predictor",
    "decode_head", "auxiliary_head", "neck", "fpn1", "fpn2", "fpn3", "fpn4",
  ]

  /// Names that a file may hold beside weights: what can be computed.
  fileprivate static func isBuffer(_ name: String) -> Bool {
    name.hasSuffix("relative_position_index") || name.hasSuffix("num_batches_tracked")
  }
}

/// A name in a file that found no place.
struct UnmatchedName: Sendable, CustomStringConvertible {
  let name: String
  let shape: [Int]
  let reason: String
  /// Whether it belongs to the network's body, so that without it another network is computed.
  let isOfBody: Bool

  var description: String { "\(name) \(shape): \(reason)" }

  /// One of `name` below a prefix that is left out for telling what it is of.
  init(_ name: String, inside: String, _ shape: [Int], _ reason: String) {
    (self.name, self.shape, self.reason) = (name, shape, reason)
    isOfBody = !NameTable.isBesideBody(inside)
  }

  /// One outside of the network.
  init(outside name: String, _ shape: [Int], _ reason: String) {
    (self.name, self.shape, self.reason) = (name, shape, reason)
    isOfBody = false
  }
}

/// The tensors of a file under our names, as a table has them.
struct NameMapping {
  /// Shapes by our names.
  private(set) var shapes: [String: [Int]] = [:]
  /// The names in the file of the equal parts of each of ours, in order.
  private(set) var sources: [String: [String]] = [:]
  /// What the names of the network begin with in the file.
  let prefix: String
  /// Names that found no place, sorted.
  private(set) var unmatched: [UnmatchedName] = []

  /// - Parameters:
  ///   - stored: The names in the file and their shapes.
  ///   - path: The file, for messages.
  /// - Throws: `RunError` where the file is not of the table's network.
  init(_ stored: [(name: String, shape: [Int])], by table: NameTable, of path: String) throws {
    guard let prefix = table.prefix(in: stored.map(\.name)) else {
      let names = stored.prefix(3).map { "'\($0.name)'" }.joined(separator: ", ")
      throw RunError(
        "\(path) has no '\(table.anchor)' among its \(stored.count) names (the first: \(names)); is "
          + (table.isPartial ? "it another network's?" : "its layout another than \(table.owner)?"))
    }
    self.prefix = prefix
    var found: [String: (parts: [Int: (name: String, shape: [Int])], count: Int)] = [:]
    for (name, shape) in stored where !NameTable.isBuffer(name) {
      let isInside = name.hasPrefix(prefix)
      // Heads may stand beside what has the prefix.
      let inside = isInside ? String(name.dropFirst(prefix.count)) : name
      guard isInside || prefix == table.prefix, let (ours, part, count) = table.meaning(of: inside) else {
        let reason = "not a name of \(table.owner)'s"
        unmatched.append(
          isInside
            ? UnmatchedName(name, inside: inside, shape, reason) : UnmatchedName(outside: name, shape, reason)
        )
        continue
      }
      if let other = found[ours]?.parts[part] {
        unmatched.append(UnmatchedName(name, inside: inside, shape, "stands for the same as \(other.name)"))
        continue
      }
      found[ours, default: ([:], count)].parts[part] = (name, shape)
    }
    for (ours, (parts, count)) in found.sorted(by: { $0.key < $1.key }) {
      let present = (0..<count).compactMap { parts[$0] }
      guard present.count == count, let shape = present.first?.shape,
        present.allSatisfy({ $0.shape == shape })
      else {
        guard !table.isPartial else {
          throw RunError(
            "\(path) has only \(present.map(\.name).joined(separator: ", ")) of the \(count) equal parts of \(ours); "
              + "is it another network's? `peco import` knows BEiT's")
        }
        unmatched += present.map {
          UnmatchedName(
            $0.name, inside: ours, $0.shape, "the other parts of \(ours) are missing or have other shapes")
        }
        continue
      }
      shapes[ours] = count == 1 ? shape : [shape[0] * count] + shape.dropFirst()
      sources[ours] = present.map(\.name)
    }
    unmatched.sort { $0.name < $1.name }
  }
}
