import Storage
import Terminal
import Visualization

extension ImageTable {
  /// Throws unless a figure may be written at `path`: as PNG, and not over what it is drawn from.
  public static func requireOutput(_ path: String, madeFrom inputs: [String]) throws {
    guard path.lowercased().hasSuffix(".png") else {
      throw RunError("\(path): figures are PNG; give a name that ends in .png")
    }
    try FileSystem.requireOutput(path, madeFrom: inputs)
  }
}
