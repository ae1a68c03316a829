import Foundation
import Interoperability

@testable import Preparation

extension FuzzTarget {
  /// An archive of images, or what is taken for one, gone through as preparation does; the first byte chooses a subset.
  static let archive = FuzzTarget(name: "archive") { input in
    let path = try Scratch.write(UnsafeRawBufferPointer(rebasing: input.dropFirst()))
    let subset: String? = (input.first ?? 0) & 1 == 0 ? nil : "train"
    try ImageSource(path: path).forEach(subset: subset, isCancelled: { false }) { found in
      _ = found.name.text
      return true
    }
  }

  /// Names as bytes, and as the text that is made of them; a list of the names of classes.
  static let names = FuzzTarget(name: "names") { input in
    let bytes = Array(input)
    let path = SourcePath(bytes: bytes)
    precondition(SourcePath(text: path.text) == path, "a name is another one after its text")
    _ = (path.sortKey, path.components, path.firstFolder, path.folder, path.isASCII)
    _ = ContentKind.folderName(ofArchive: bytes)
    _ = ContentKind(input, name: bytes)
    let list = try Scratch.write(input)
    _ = try WeightConversion.ImportRequest.classNames(in: list)
  }
}
