import Configuration
import Foundation

@testable import Interoperability
@testable import Storage

extension FuzzTarget {
  /// Names and shapes of weights, the header of a safetensors file, under the names of every layout.
  static let weights = FuzzTarget(name: "weights") { header in
    var bytes: [UInt8] = []
    withUnsafeBytes(of: UInt64(header.count).littleEndian) { bytes.append(contentsOf: $0) }
    bytes.append(contentsOf: header)
    // Nothing is read of the values, so that any shape may be there.
    let path = try Scratch.write(bytes, to: "weights/model.safetensors", size: 1 << 32)
    let stored = try StoredTensors.foreign(path)
    for layout in WeightLayout.allCases {
      guard let file = try? WeightFile(stored, named: layout.importTable) else { continue }
      guard let told = try? WeightDescription().completed(for: file) else { continue }
      _ = ModelCard.Architecture(
        parameterShapes: file.shapes, heads: told.heads ?? 1, normEpsilon: told.normEpsilon ?? 1e-6)
    }
  }

  /// What lies beside weights: `config.json` and, behind a zero byte, `preprocessor_config.json`.
  static let beside = FuzzTarget(name: "beside") { bytes in
    let parts = bytes.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
    for (name, part) in zip(["config.json", "preprocessor_config.json"], parts) {
      _ = try Scratch.write(UnsafeRawBufferPointer(rebasing: part), to: "beside/\(name)")
    }
    if parts.count < 2 { unlink("\(Scratch.folder)/beside/preprocessor_config.json") }
    for file in transformers { _ = try? WeightDescription().completed(for: file) }
  }

  /// Two transformers that files are beside of: one as timm has it, one as Hugging Face does.
  private nonisolated(unsafe) static let transformers: [WeightFile] = [
    "timm_beit", "huggingface_class_token/model",
  ].compactMap {
    name in
    let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../../InteroperabilityTests/Fixtures/transfer/\(name).safetensors").path
    let path = "\(Scratch.folder)/beside/\(name.prefix(4)).safetensors"
    try? FileManager.default.copyItem(atPath: source, toPath: path)
    let layout: WeightLayout = name.hasPrefix("timm") ? .timm : .huggingface
    return try? WeightFile(StoredTensors.foreign(path), named: layout.importTable)
  }
}
