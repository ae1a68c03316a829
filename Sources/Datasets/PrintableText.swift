extension String {
  /// The text on one line, for messages and lists: what moves the cursor or ends a line is written `\x0A`.
  package var printable: String {
    guard utf8.contains(where: { $0 < 0x20 || $0 == 0x7F || $0 == 0xC2 }) else { return self }
    var result = ""
    for scalar in unicodeScalars {
      if scalar.properties.generalCategory == .control {
        let digits = String(scalar.value, radix: 16, uppercase: true)
        result += "\\x" + (digits.count < 2 ? "0" : "") + digits
      } else {
        result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  /// Whether two names are the same bytes; `==` takes two spellings of `é` for the same.
  package func isIdentical(to other: String) -> Bool { utf8.elementsEqual(other.utf8) }
}

extension [String] {
  /// Whether two lists of names are the same bytes.
  package func isIdentical(to other: [String]) -> Bool {
    elementsEqual(other) { $0.isIdentical(to: $1) }
  }
}
