import Foundation
import Imaging
import Models
import Tensors
import TestSupport
import Testing
import Tokenizers

@Suite struct PerceptualDistanceTests {
  private let settings = [
    "perceptual.network=vgg16", "perceptual.weights=random", "perceptual.taps=[1, 2]", "data.image_size=32",
  ]

  /// An image with a gradient of colors, as PNG.
  private func write(_ name: String, brightness: Int, in folder: String, width: Int = 32) throws -> String {
    let pixels = (0..<32 * width * 3).map { UInt8(truncatingIfNeeded: $0 % 97 + brightness) }
    try Image(width: width, height: 32, pixels: pixels).writePNG(to: folder + "/" + name)
    return folder + "/" + name
  }

  private func distances(_ first: String, _ second: String, _ more: String...) throws -> [Double] {
    try PerceptualDistance.run(
      configuration: nil, overrides: settings + more, first: first, second: second)
  }

  @Test func distancesAreThoseOfTheNetwork() throws {
    try withTemporaryFolder { folder in
      let first = try write("a.png", brightness: 10, in: folder)
      let second = try write("b.png", brightness: 90, in: folder)
      #expect(try distances(first, first) == [0, 0])
      // The random network is drawn by the configuration's seed.
      let network = VGG16(taps: [.stage1, .stage2], in: ParameterScope(seed: 0, frozen: true))
      func tensor(_ brightness: Int) -> Tensor {
        Tensor((0..<32 * 32 * 3).map { Float($0 % 97 + brightness) / 127.5 - 1 }, shape: [1, 32, 32, 3])
      }
      let expected = perceptualDistances(network, tensor(10), tensor(90)).map { Double($0.item) }
      let found = try distances(first, second, "seed=0")
      #expect(found.count == 2)
      for (found, expected) in zip(found, expected) { #expect(abs(found / expected - 1) < 1e-5) }
    }
  }

  @Test func theSquareInTheMiddleIsShown() throws {
    try withTemporaryFolder { folder in
      let square = try write("a.png", brightness: 10, in: folder)
      let wide = try write("b.png", brightness: 10, in: folder, width: 96)
      let resized = try distances(square, wide, "data.image_size=16")
      #expect(resized.count == 2 && resized.allSatisfy { $0.isFinite && $0 > 0 })
    }
  }

  @Test func whatIsWrongIsSaid() throws {
    try withTemporaryFolder { folder in
      let image = try write("a.png", brightness: 10, in: folder)
      func problem(_ body: () throws -> [Double]) -> String {
        do { return "no error: \(try body())" } catch { return "\(error)" }
      }
      #expect(problem { try distances(image, folder + "/none.png") }.contains("none.png cannot be read"))
      #expect(
        problem {
          try PerceptualDistance.run(configuration: nil, overrides: [], first: image, second: image)
        }.contains("perceptual.network"))
      #expect(problem { try distances(image, image, "perceptual.taps=[9]") }.contains("from 1 to 5"))
      // What belongs to training has no effect here.
      #expect(problem { try distances(image, image, "training.steps=5") }.contains("unknown key"))
      for key in ["loss.pixel_weight", "codebook.size"] {
        #expect(
          problem { try distances(image, image, "\(key)=3") }
            .hasPrefix("--set \(key)=3: \(key): unknown key; "))
      }
      let configuration = folder + "/tokenizer.yaml"
      try Data("data: {path: a.h5, image_size: 32}\ntraining: {steps: 1}\n".utf8).write(
        to: URL(fileURLWithPath: configuration))
      for (key, value, needed) in [
        ("codebook.size", "3", "a tokenizer's training"), ("data.flip", "false", "a tokenizer's training"),
        ("loss.pixel", "l1", "a tokenizer's training"), ("seed", "3", "perceptual.weights random"),
      ] {
        let weights = key == "seed" ? "perceptual.weights=a.safetensors" : "perceptual.weights=random"
        #expect(
          problem {
            try PerceptualDistance.run(
              configuration: configuration, overrides: settings + [weights, "\(key)=\(value)"], first: image,
              second: image)
          } == "--set \(key)=\(value): \(key): has no effect: it takes \(needed)")
      }
      #expect(
        try PerceptualDistance.run(
          configuration: configuration, overrides: settings + ["seed=3"], first: image, second: image) == [
            0, 0,
          ])
      // Of 8 pixels the fifth stage would have none left.
      let small = "data.image_size=8"
      #expect(
        problem { try distances(image, image, small, "perceptual.taps=[1, 5]") }
          .contains("data.image_size: found 8, expected at least 16"))
      #expect(try distances(image, image, small, "perceptual.taps=[1, 4]") == [0, 0])
    }
  }
}
