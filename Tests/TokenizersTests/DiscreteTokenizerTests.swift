import Communication
import Configuration
import DVAETraining
import Foundation
import Models
import Tensors
import TestSupport
import Testing
import Tokenizers

/// The discrete VAE in training, and DALL-E's weights.
@Suite struct DiscreteTokenizerTests {
  @Test func schedulesGoAlongHalfACosine() throws {
    let settings = "data: {path: a}\ntraining: {steps: 1}\nmodel: {kind: dvae}"
    let configuration = try TokenizerConfiguration.load(yaml: settings, source: "x").configuration
    var dvae = try #require(configuration.member(DVAEFamily.self))
    let final = 1.0 / 16
    #expect(dvae.temperature(at: 0) == 1)
    #expect(dvae.temperature(at: 200_000) == final)
    #expect(abs(dvae.temperature(at: 75_000) - (1 + final) / 2) < 1e-9)
    let weight = 0.034375
    #expect(dvae.klWeight(at: 0) == 0)
    #expect(abs(dvae.klWeight(at: 2_500) - weight / 2) < 1e-9)
    #expect(dvae.klWeight(at: 5_000) == weight)
    dvae.temperatureSteps = 0
    #expect(dvae.temperature(at: 0) == final)
  }

  private func publishedFiles(in folder: String) throws -> (model: DVAE, encoder: String, decoder: String) {
    var configuration = DVAEConfiguration()
    configuration.imageSize = 32
    configuration.baseWidth = 4
    configuration.vocabulary = 20
    configuration.codebookDimension = 8
    let model = try DVAE(configuration, in: ParameterScope(seed: 6))
    var paths: [String] = []
    for part in ["encoder", "decoder"] {
      let path = folder + "/\(part).safetensors"
      let arrays = model.parameters.filter { $0.name.hasPrefix(part) }.map {
        (String($0.name.dropFirst(part.count + 1)), $0.value)
      }
      try write(arrays, to: path)
      paths.append(path)
    }
    return (model, paths[0], paths[1])
  }

  /// The format by hand: the length of a JSON header, the header, the numbers.
  private func write(_ arrays: [(name: String, value: Tensor)], to path: String) throws {
    var (entries, data) = ([String](), Data())
    for (name, value) in arrays {
      let start = data.count
      value.elements.withUnsafeBytes { data.append(contentsOf: $0) }
      entries.append(
        "\"\(name)\": {\"dtype\": \"F32\", \"shape\": \(value.shape), \"data_offsets\": [\(start), \(data.count)]}"
      )
    }
    let header = Data("{\(entries.joined(separator: ", "))}".utf8)
    var file = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Data($0) }
    file.append(header)
    file.append(data)
    try file.write(to: URL(fileURLWithPath: path))
  }

  @Test func publishedWeightsBecomeATokenizer() throws {
    try withTemporaryFolder { folder in
      let (model, encoder, decoder) = try publishedFiles(in: folder)
      let output = folder + "/dalle.h5"
      let report = try TokenizerImport.run(
        encoder: encoder, decoder: decoder, output: output, imageSize: 32)
      #expect(report.vocabulary == 20 && report.patchSize == 8 && report.gridSize == 4)
      let tokenizer = try TrainedTokenizer(path: output, communicator: Communicator())
      #expect(tokenizer.model is DVAE && tokenizer.model.gridSize == 4)
      #expect(tokenizer.card.family == "dvae")
      #expect(try tokenizer.card.architecture(as: DVAEConfiguration.self) == model.configuration)
      #expect(tokenizer.model.parameters.map(\.value.elements) == model.parameters.map(\.value.elements))
      var stream = RandomStream(seed: 1, purpose: .test)
      let images = Tensor((0..<2 * 32 * 32 * 3).map { _ in stream.uniform(-1, 1) }, shape: [2, 32, 32, 3])
      let tokens = tokenizer.model.tokens(images)
      #expect(tokens == model.tokens(images) && Set(tokens).count > 1)
      #expect(tokenizer.model.images(from: tokens).elements == model.images(from: tokens).elements)
    }
  }

  @Test func filesThatDoNotFitAreNamed() throws {
    try withTemporaryFolder { folder in
      let (_, encoder, decoder) = try publishedFiles(in: folder)
      func failure(_ encoder: String, _ decoder: String, imageSize: Int = 32) throws -> String {
        let error = #expect(throws: (any Error).self) {
          try TokenizerImport.run(
            encoder: encoder, decoder: decoder, output: folder + "/out.h5", imageSize: imageSize)
        }
        return error.map { "\($0)" } ?? ""
      }
      #expect(try failure(decoder, encoder).contains(decoder))
      #expect(try failure(encoder, encoder).contains(encoder))
      #expect(try failure(encoder, decoder, imageSize: 36).contains("--image-size 36"))
      #expect(try failure(folder + "/nothing.safetensors", decoder).contains("nothing.safetensors"))
      #expect(!FileManager.default.fileExists(atPath: folder + "/out.h5"))
    }
  }
}
