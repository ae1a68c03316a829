import Communication
import Configuration
import Foundation
import Interoperability
import Models
import PublishedWeights
import Storage
import Tensors
import Terminal
import TestSupport
import Testing

/// Weights of Hugging Face's and timm's models give their features here, and go back under the same names.
@Suite struct WeightConversionTests {
  @Test(arguments: PublishedWeights.all) func importedWeightsGiveTheFeaturesOfTheModelTheyCameFrom(
    _ test: PublishedWeights
  ) throws {
    let fixture = try FixtureFile("transfer.h5")
    let expected = fixture[test.name]
    try withTemporaryFolder { folder in
      let output = folder + "/imported.h5"
      let report = try WeightConversion.importWeights(
        .init(source: test.path, layout: test.layout, output: output, told: .init(heads: 3), isStrict: true))
      #expect(report.unmatched == [] && report.isWritten)
      let communicator = Communicator()
      let weights = try TransformerWeights(opening: output, communicator: communicator)
      let model = try weights.loadModel(communicator: communicator)
      let images = try fixture.tensor("images")
      let states = model.backbone.features(images, blocks: [1, 2])
      #expect(
        relativeError(states.flatMap(\.elements), try expected.tensor("features").elements) < 1e-5)
      let logits =
        if let model = model as? MaskedImageModel {
          model(images, masked: try fixture.integers("masked").map { Int32($0) })
        } else {
          (model as? ClassificationModel)?(images)
        }
      guard let logits else { return #expect(test.name.hasSuffix("backbone")) }
      #expect(relativeError(logits, try expected.tensor("logits")) < 1e-5)
    }
  }

  @Test(arguments: PublishedWeights.all) func exportedWeightsAreThoseThatWereImported(
    _ test: PublishedWeights
  ) throws {
    try withTemporaryFolder { folder in
      let (checkpoint, output) = (folder + "/imported.h5", folder + "/model.safetensors")
      _ = try WeightConversion.importWeights(
        .init(source: test.path, layout: test.layout, output: checkpoint, told: .init(heads: 3)))
      let report = try WeightConversion.export(
        checkpoint: checkpoint, layout: test.layout, output: output, averaged: false)
      #expect(report.unmatched == [])
      let (before, after) = (
        try SafetensorsFile(opening: test.path), try SafetensorsFile(opening: output)
      )
      #expect(after.metadata["format"] == "pt")
      let names = before.names.filter { !$0.hasSuffix("relative_position_index") }
      #expect(after.names == names)
      for name in names {
        #expect(try after.shape(of: name) == before.shape(of: name), "\(name)")
        #expect(try after.readFloats(name) == before.readFloats(name), "\(name)")
      }
      guard test.layout == .huggingface else { return }
      let settings = try [test.path, output].map { path in
        let file = (path as NSString).deletingLastPathComponent + "/config.json"
        return try #require(
          JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: file)))
            as? [String: Any])
      }
      for (key, value) in settings[1] where !["layer_norm_eps", "id2label", "label2id"].contains(key) {
        #expect("\(value)" == "\(settings[0][key] ?? "nothing")", "\(key)")
      }
      #expect(
        (settings[0]["id2label"] as? [String: String])?.count
          == (settings[1]["id2label"] as? [String: String])?.count || test.name == "huggingface_masked")
    }
  }

  @Test func aPlainTransformerGoesToBEiTWithoutTheBiasOfItsKeys() throws {
    let fixture = try FixtureFile("transfer.h5")
    let test = PublishedWeights(name: "timm_vit", layout: .timm)
    try withTemporaryFolder { folder in
      let (first, middle) = (folder + "/first.h5", folder + "/middle.safetensors")
      _ = try WeightConversion.importWeights(
        .init(source: test.path, layout: .timm, output: first, told: .init(heads: 3)))
      let report = try WeightConversion.export(
        checkpoint: first, layout: .huggingface, output: middle, averaged: false)
      #expect(report.unmatched == [])
      #expect(report.notes.count == 2 && report.notes.allSatisfy { $0.contains("keys") })
      let second = folder + "/second.h5"
      _ = try WeightConversion.importWeights(
        .init(source: middle, layout: .huggingface, output: second, isStrict: true))
      let weights = try TransformerWeights(opening: second, communicator: Communicator())
      guard let model = try weights.loadModel(communicator: Communicator()) as? ClassificationModel else {
        Issue.record("no classification model")
        return
      }
      let logits = model(try fixture.tensor("images"))
      #expect(relativeError(logits, try fixture["timm_vit"].tensor("logits")) < 1e-5)
    }
  }

  @Test func aSharedTableGoesToEachBlockOfTimms() throws {
    let fixture = try FixtureFile("transfer.h5")
    let test = PublishedWeights(name: "beit", layout: .beit)
    try withTemporaryFolder { folder in
      let (first, middle) = (folder + "/first.h5", folder + "/middle.safetensors")
      _ = try WeightConversion.importWeights(.init(source: test.path, layout: .beit, output: first))
      let report = try WeightConversion.export(
        checkpoint: first, layout: .timm, output: middle, averaged: false)
      #expect(report.unmatched == [])
      let (before, after) = (
        try SafetensorsFile(opening: test.path), try SafetensorsFile(opening: middle)
      )
      let table = "relative_position_bias_table"
      #expect(
        after.names.filter { $0.hasSuffix(table) } == (0..<2).map { "blocks.\($0).attn.\(table)" })
      for block in 0..<2 {
        #expect(
          try after.readFloats("blocks.\(block).attn.\(table)")
            == before.readFloats("rel_pos_bias.\(table)"))
      }
      // The card is of what is in the file.
      let card = try ModelCard(json: try #require(after.metadata["peco.card"]))
      #expect(card.architecture.positions == [.relative])
      let second = folder + "/second.h5"
      _ = try WeightConversion.importWeights(
        .init(source: middle, layout: .timm, output: second, isStrict: true))
      let weights = try TransformerWeights(opening: second, communicator: Communicator())
      guard let model = try weights.loadModel(communicator: Communicator()) as? ClassificationModel else {
        Issue.record("no classification model")
        return
      }
      let logits = model(try fixture.tensor("images"))
      #expect(relativeError(logits, try fixture["beit"].tensor("logits")) < 1e-5)
    }
  }

  @Test func howImagesAreShownTravels() throws {
    let normalization = ImageNormalization(mean: [0.4, 0.5, 0.6], standardDeviation: [0.3, 0.2, 0.25])
    try withTemporaryFolder { folder in
      let (first, middle) = (folder + "/first.h5", folder + "/model.safetensors")
      let source = folder + "/source/model.safetensors"
      try FileManager.default.copyItem(
        atPath: (PublishedWeights(name: "huggingface_mean", layout: .huggingface).path as NSString)
          .deletingLastPathComponent, toPath: folder + "/source")
      try #"{"do_resize": true, "do_center_crop": true, "size": {"shortest_edge": 39}}"#.write(
        toFile: folder + "/source/preprocessor_config.json", atomically: true, encoding: .utf8)
      var request = WeightConversion.ImportRequest(
        source: source, layout: .huggingface, output: first, told: .init(normalization: normalization))
      _ = try WeightConversion.importWeights(request)
      let report = try WeightConversion.export(
        checkpoint: first, layout: .huggingface, output: middle, averaged: false)
      #expect(report.kept == [])
      (request.source, request.output) = (middle, folder + "/second.h5")
      request.told.normalization = nil
      _ = try WeightConversion.importWeights(request)
      let third = folder + "/third/model.safetensors"
      try FileManager.default.createDirectory(
        atPath: folder + "/third", withIntermediateDirectories: false)
      _ = try WeightConversion.export(
        checkpoint: request.output, layout: .huggingface, output: third, averaged: false)
      let files = try [folder, folder + "/third"].map {
        try String(contentsOfFile: $0 + "/preprocessor_config.json", encoding: .utf8)
      }
      #expect(files[0] == files[1])
      let lines = files[1].split(separator: "\n").map { $0.drop { $0 == " " } }
      for part in ["0.4,", "0.25", "\"shortest_edge\" : 39", "\"do_normalize\" : true,"] {
        #expect(lines.contains { $0 == part }, "\(part) in \(files[1])")
      }
    }
  }

  @Test func aConfigurationThatIsThereIsKeptAndToldOf() throws {
    try withTemporaryFolder { folder in
      func export(_ name: String) throws -> [String] {
        _ = try WeightConversion.importWeights(
          .init(
            source: PublishedWeights(name: name, layout: .huggingface).path, layout: .huggingface,
            output: folder + "/a.h5", told: .init(heads: 3)))
        return try WeightConversion.export(
          checkpoint: folder + "/a.h5", layout: .huggingface, output: folder + "/model.safetensors",
          averaged: false
        ).kept
      }
      #expect(try export("huggingface_mean") == [])
      #expect(try export("huggingface_mean") == [])
      let kept = try #require(try export("huggingface_class_token").first)
      #expect(kept.contains("/config.json") && kept.contains("use_absolute_position_embeddings"))
      #expect(!kept.contains("hidden_size") && !kept.contains("id2label"))
    }
  }

  // MARK: - What has no match

  /// What a file holds beside indices of positions, without the strings of its header.
  static func contents(of path: String) throws -> [(name: String, shape: [Int], values: [Float])] {
    let file = try SafetensorsFile(opening: path)
    return try file.names.filter { !$0.hasSuffix("index") }.map {
      (name: $0, shape: try file.shape(of: $0), values: try file.readFloats($0))
    }
  }

  @Test func whateverIsMissingIsNamed() throws {
    let whole = try Self.contents(of: PublishedWeights(name: "timm_beit", layout: .timm).path)
    try withTemporaryFolder { folder in
      let path = folder + "/part.safetensors"
      for missing in whole.map(\.name) where missing != "patch_embed.proj.weight" {
        try SafetensorsFile.write(tensors: whole.filter { $0.name != missing }, to: path)
        let error = #expect(throws: RunError.self) {
          try WeightConversion.importWeights(
            .init(source: path, layout: .timm, output: folder + "/out.h5", told: .init(heads: 3)))
        }
        let text = "\(try #require(error))"
        #expect(text.contains("\(missing) [") && text.contains("is missing"), "\(missing): \(text)")
      }
    }
  }

  @Test func theLastBlockThatIsNamedTellsTheDepth() throws {
    let path = PublishedWeights(name: "timm_beit", layout: .timm).path
    var shapes = try WeightFile(opening: path, anchor: "patch_embed.proj.weight").shapes
    func depth() -> Int? { VisionTransformerConfiguration(parameterShapes: shapes, heads: 3)?.depth }
    #expect(depth() == 2)
    // What is trained beside it begins otherwise.
    shapes["ema.blocks.7.norm1.weight"] = [12]
    shapes["momentum.blocks.8.norm1.weight"] = [12]
    #expect(depth() == 2)
    shapes["blocks.2.mlp.fc2.bias"] = [12]
    #expect(depth() == 3)
    // Too many blocks are missing for that.
    shapes["blocks.4000000.norm1.weight"] = [12]
    #expect(depth() == 8)
  }

  @Test func anExportMayBeAskedToLeaveNothingOut() throws {
    try withTemporaryFolder { folder in
      let (checkpoint, output) = (folder + "/imported.h5", folder + "/model.safetensors")
      _ = try WeightConversion.importWeights(
        .init(
          source: PublishedWeights(name: "huggingface_masked", layout: .huggingface).path,
          layout: .huggingface,
          output: checkpoint))
      func export(_ layout: WeightLayout, strict: Bool) throws -> WeightConversion.Report {
        try WeightConversion.export(
          checkpoint: checkpoint, layout: layout, output: output, averaged: false, isStrict: strict)
      }
      let refused = try export(.timm, strict: true)
      #expect(!refused.isWritten && refused.notes == [])
      #expect(
        refused.unmatched
          == ["lm_head.bias [10]", "lm_head.weight [10, 12]", "mask_token [1, 1, 12]"].map {
            "\($0): timm has no place for it"
          })
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["imported.h5"])
      let whole = try export(.beit, strict: true)
      #expect(whole.isWritten && whole.unmatched == [])
      let part = try export(.timm, strict: false)
      #expect(part.isWritten && part.unmatched == refused.unmatched)
      let metadata = try SafetensorsFile(opening: output).metadata
      let card = try ModelCard(json: try #require(metadata["peco.card"]))
      #expect(card.architecture.head == nil && !card.architecture.hasMaskToken)

      // The keys' bias changes no result.
      _ = try WeightConversion.importWeights(
        .init(
          source: PublishedWeights(name: "timm_vit", layout: .timm).path, layout: .timm, output: checkpoint,
          told: .init(heads: 3)))
      let noted = try export(.beit, strict: true)
      #expect(noted.isWritten && noted.unmatched == [] && noted.notes.count == 2)
    }
  }

  @Test func whatDoesNotMatchIsReported() throws {
    try withTemporaryFolder { folder in
      var tensors = try Self.contents(of: PublishedWeights(name: "beit", layout: .beit).path)
      let (path, output) = (folder + "/file.safetensors", folder + "/out.h5")
      tensors.append((name: "decoder.weight", shape: [2], values: [1, 2]))
      tensors.append((name: "pooler.dense.weight", shape: [1], values: [1]))
      try SafetensorsFile.write(tensors: tensors, to: path)
      func convert(_ layout: WeightLayout, strict: Bool) throws -> WeightConversion.Report {
        try WeightConversion.importWeights(
          .init(source: path, layout: layout, output: output, isStrict: strict))
      }
      let report = try convert(.beit, strict: true)
      #expect(report.unmatched.count == 2 && !report.isWritten)
      #expect(report.unmatched.contains { $0.contains("decoder.weight [2]") })
      #expect(!FileManager.default.fileExists(atPath: output))
      #expect(try convert(.beit, strict: false).isWritten)
      #expect(FileManager.default.fileExists(atPath: output))

      let other = #expect(throws: RunError.self) { try convert(.huggingface, strict: false) }
      #expect("\(try #require(other))".contains("layout"))

      let index = try #require(tensors.firstIndex { $0.name == "blocks.1.mlp.fc2.weight" })
      tensors[index] = (name: tensors[index].name, shape: [3], values: [1, 2, 3])
      tensors.removeAll { $0.name == "blocks.1.attn.q_bias" }
      try SafetensorsFile.write(tensors: tensors, to: path)
      let error = #expect(throws: RunError.self) { try convert(.beit, strict: false) }
      let text = "\(try #require(error))"
      #expect(text.contains("blocks.1.mlp.fc2.weight is [3], the transformer needs [12, 24]"))
      #expect(text.contains("blocks.1.attn.q_bias [12] is missing"))
    }
  }
}
