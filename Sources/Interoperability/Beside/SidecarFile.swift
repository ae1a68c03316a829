import Foundation
import Storage
import Terminal

/// A file of JSON beside published weights, which says what they do not.
enum SidecarFile: String, CaseIterable {
  /// Of Hugging Face's: what makes its images. What it says of them goes before what the other says.
  case preprocessor = "preprocessor_config.json"
  /// Of Hugging Face's and of timm's: what makes the model.
  case model = "config.json"

  /// Where it lies.
  func path(beside weights: String) -> String { "\(FileSystem.folder(of: weights))/\(rawValue)" }

  /// What it says; nil where there is none.
  ///
  /// - Throws: `RunError` where it is no object of JSON.
  func read(beside weights: String) throws -> [String: Any]? {
    let path = path(beside: weights)
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    let data = Data(try FileSystem.readSmall(path))
    do {
      guard let object = try JSONSerialization.jsonObject(with: data) as? [String: Any] else {
        throw RunError(
          "\(path) is no object of JSON, so that it does not tell what the weights beside it are")
      }
      return object
    } catch let error as CocoaError {
      let reason = error.userInfo["NSDebugDescription"] as? String ?? error.localizedDescription
      throw RunError(
        "\(path) is not JSON (\(reason)), so that it does not tell what the weights beside it are")
    }
  }

  /// Writes it, unless it is there already.
  ///
  /// - Returns: Of a file that is there, in which keys it says something else; nil where in none.
  func write(_ object: [String: Any], beside weights: String) throws -> String? {
    let path = path(beside: weights)
    let data = try JSONSerialization.data(
      withJSONObject: object, options: [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes])
    if let present = FileManager.default.contents(atPath: path) {
      let (wanted, found) = (Self.values(of: data), Self.values(of: present))
      let others = wanted.keys.filter { wanted[$0] != found[$0] }.sorted()
      return others.isEmpty ? nil : "\(path), which says something else of \(others.joined(separator: ", "))"
    }
    try FileSystem.atomicallyReplace(path) { try data.write(to: URL(fileURLWithPath: $0)) }
    return nil
  }

  /// What stands under each key, as JSON.
  private static func values(of data: Data) -> [String: Data] {
    let object = (try? JSONSerialization.jsonObject(with: data)) as? [String: Any] ?? [:]
    return object.compactMapValues { try? JSONSerialization.data(withJSONObject: [$0], options: .sortedKeys) }
  }
}
