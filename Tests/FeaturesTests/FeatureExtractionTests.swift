import Communication
import Configuration
import Evaluation
import Features
import Foundation
import Imaging
import Interoperability
import Preparation
import PublishedWeights
import Storage
import Tensors
import Terminal
import TestSupport
import Testing
import Trainer

/// Features of imported transformers against PyTorch's, from images in files.
@Suite struct FeatureExtractionTests {
  /// The fixture's images as a dataset.
  private func dataset(_ fixture: FixtureFile, _ folder: String) throws -> String {
    let (values, side) = (try fixture.integers("pixels"), 32)
    try FileManager.default.createDirectory(atPath: folder + "/images", withIntermediateDirectories: true)
    for (number, first) in stride(from: 0, to: values.count, by: side * side * 3).enumerated() {
      let pixels = values[first..<first + side * side * 3].map { UInt8($0) }
      try Image(width: side, height: side, pixels: pixels).writePNG(to: "\(folder)/images/\(number).png")
    }
    _ = try DatasetPreparation(input: folder + "/images", output: folder + "/images.h5").run()
    return folder + "/images.h5"
  }

  /// What `peco features` writes for an imported file.
  private func features(
    _ source: String, _ layout: WeightLayout, of dataset: String, _ folder: String,
    normalization: ImageNormalization? = nil, block: Int? = nil,
    pooling: FrozenTransformer.Pooling = .mean
  ) throws -> Tensor {
    let (checkpoint, output) = (folder + "/imported.h5", folder + "/features.h5")
    _ = try WeightConversion.importWeights(
      .init(
        source: source, layout: layout, output: checkpoint,
        told: .init(heads: 3, normalization: normalization)))
    var view = FrozenTransformer.View()
    view.resize = 32
    try FeatureExtraction.run(
      .init(
        checkpoint: checkpoint, averaged: false, dataset: dataset, output: output, block: block,
        pooling: pooling, view: view), communicator: Communicator())
    let file = try HDF5File(opening: output)
    defer { try? file.close() }
    let card = try #require(try file.attribute("model_card", as: String.self))
    #expect(try ModelCard(json: card) == Checkpoint.header(of: checkpoint).card?.transformer)
    return Tensor(try file.read("features"), shape: try file.shape(of: "features"))
  }

  @Test(arguments: PublishedWeights.all.filter { $0.name != "beit" })
  func theLastNormIsWhereTheModelHasIt(_ test: PublishedWeights) throws {
    let fixture = try FixtureFile("features.h5")
    try withTemporaryFolder { folder in
      let found = try features(test.path, test.layout, of: try dataset(fixture, folder), folder)
      #expect(relativeError(found, try fixture["imagenet"].tensor(test.name)) < 1e-5)
    }
  }

  /// The last hidden states of timm's and Hugging Face's models with mean pooling: `fc_norm` is for the mean alone.
  @Test func aNormOfTheMeanLeavesTokensAsTheyAre() throws {
    let fixture = try FixtureFile("features.h5")
    try withTemporaryFolder { folder in
      let data = try dataset(fixture, folder)
      for (name, isSame) in [
        ("huggingface_mean", true), ("timm_beit", true), ("huggingface_class_token", false),
      ] {
        let test = try #require(PublishedWeights.all.first { $0.name == name })
        for pooling in [FrozenTransformer.Pooling.none, .classToken] {
          let (last, second) = (
            try features(test.path, test.layout, of: data, folder, pooling: pooling),
            try features(test.path, test.layout, of: data, folder, block: 2, pooling: pooling)
          )
          #expect((last.elements == second.elements) == isSame, "\(name), \(pooling)")
        }
      }
    }
  }

  @Test func imagesAreNormalizedAsTheWeightsWereTrained() throws {
    let fixture = try FixtureFile("features.h5")
    let test = try #require(PublishedWeights.all.first { $0.name == "timm_vit" })
    let expected = try fixture["half"].tensor(test.name)
    let half = ImageNormalization(mean: [0.5, 0.5, 0.5], standardDeviation: [0.5, 0.5, 0.5])
    try withTemporaryFolder { folder in
      let data = try dataset(fixture, folder)
      let told = try features(test.path, test.layout, of: data, folder, normalization: half)
      #expect(relativeError(told, expected) < 1e-5)

      let source = folder + "/model.safetensors"
      try FileManager.default.copyItem(atPath: test.path, toPath: source)
      for (name, text) in [
        ("config.json", #"{"pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}"#),
        // Comes before timm's.
        ("preprocessor_config.json", #"{"image_mean": [0, 0, 0], "image_std": [1, 1, 1]}"#),
        ("preprocessor_config.json", #"{"do_normalize": true, "image_mean": 0.5, "image_std": 0.5}"#),
      ] {
        try text.write(toFile: "\(folder)/\(name)", atomically: true, encoding: .utf8)
        let found = try features(source, test.layout, of: data, folder)
        #expect((relativeError(found, expected) < 1e-5) == text.contains("0.5"), "\(text)")
      }

      try #"{"image_mean": [0.5], "image_std": [0.5, 0.5, 0.5]}"#.write(
        toFile: folder + "/preprocessor_config.json", atomically: true, encoding: .utf8)
      let error = #expect(throws: RunError.self) { try features(source, test.layout, of: data, folder) }
      #expect("\(try #require(error))".contains("preprocessor_config.json"))
      // Whoever says it needs no file.
      let again = try features(source, test.layout, of: data, folder, normalization: half)
      #expect(relativeError(again, expected) < 1e-5)
    }
  }
}
