import Foundation
import Storage
import Terminal

extension WeightConversion.ImportRequest {
  /// The names of classes in a text file, one a line. Lines may end as Windows ends them, and blanks around a name are
  /// no part of it.
  ///
  /// - Throws: `StorageError` where there is no such text; `RunError` with every line that is empty, or has the name of
  ///   an earlier one.
  public static func classNames(in path: String) throws -> [String] {
    var lines = try FileSystem.readText(path)
      .split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" || $0 == "\r" }
      .map { $0.trimmingCharacters(in: .whitespaces) }
    if lines.last?.isEmpty == true { lines.removeLast() }
    guard !lines.isEmpty else {
      throw RunError("\(path) is empty; each line must have the name of a class")
    }
    var numbers: [String: Int] = [:]
    var problems: [String] = []
    for (number, name) in zip(1..., lines) {
      if name.isEmpty {
        problems.append("line \(number) is empty")
      } else if let earlier = numbers[name] {
        problems.append("'\(name)' is in line \(earlier) and in line \(number)")
      } else {
        numbers[name] = number
      }
    }
    guard problems.isEmpty else {
      let others = problems.count > 5 ? ", and \(problems.count - 5) more" : ""
      throw RunError(
        "\(path): \(problems.prefix(5).joined(separator: ", "))\(others); each line must have the name of a class, "
          + "and each class a name of its own")
    }
    return lines
  }
}
