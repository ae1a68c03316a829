import Foundation
import Imaging

func fixturePath(_ name: String) -> String {
  URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("Fixtures/\(name)").path
}

func fixture(_ name: String) throws -> [UInt8] {
  [UInt8](try Data(contentsOf: URL(fileURLWithPath: fixturePath(name))))
}

/// Reference results that lie one after another in NAME.rgb, described by NAME.json.
func fixtureCases<Case: Decodable>(_ name: String, as type: Case.Type) throws -> [Case] {
  let data = try Data(contentsOf: URL(fileURLWithPath: fixturePath(name + ".json")))
  return try JSONDecoder().decode([Case].self, from: data)
}

/// The largest difference between two images' values; nil when the sizes differ.
func largestDifference(_ first: [UInt8], _ second: [UInt8]) -> Int? {
  guard first.count == second.count else { return nil }
  return zip(first, second).map { abs(Int($0) - Int($1)) }.max() ?? 0
}

/// The `ImagingError` that `body` throws, if it throws one.
func imagingError<Result>(_ body: () throws -> Result) -> ImagingError? {
  do {
    _ = try body()
    return nil
  } catch {
    return error as? ImagingError
  }
}

/// Gradients, edges and noise, the same on every run.
func scene(width: Int, height: Int) -> Image {
  var state: UInt32 = 12345
  var pixels: [UInt8] = []
  for y in 0..<height {
    for x in 0..<width {
      state = state &* 1_664_525 &+ 1_013_904_223
      let noise = Int(state >> 27)
      let edge = (x / 9 + y / 7) % 4 == 0 ? 120 : 0
      pixels += [
        UInt8(min(255, x * 200 / width + noise)), UInt8(min(255, y * 120 / height + edge)),
        UInt8(min(255, (x + 2 * y) % 200 + noise)),
      ]
    }
  }
  return Image(width: width, height: height, pixels: pixels)
}
