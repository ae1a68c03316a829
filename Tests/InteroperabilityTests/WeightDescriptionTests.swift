import Communication
import Configuration
import Foundation
import Imaging
import Interoperability
import Layers
import Models
import Storage
import Tensors
import Terminal
import TestSupport
import Testing
import Trainer

/// What names and shapes of weights do not tell goes out and comes back with them.
@Suite struct WeightDescriptionTests {
  /// A file of timm's, or a folder of Hugging Face's.
  private func published(_ name: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Fixtures/transfer/\(name)" + (name.hasPrefix("timm") ? ".safetensors" : ""))
      .path
  }

  /// Writes the checkpoint of a classifier of which nothing is as it would be guessed, and gives back its model.
  private func writeUnusual(_ path: String, classes: [String]) throws -> ClassificationModel {
    var architecture = VisionTransformerConfiguration()
    (
      architecture.imageSize, architecture.patchSize, architecture.width, architecture.depth,
      architecture.heads
    ) = (40, 8, 192, 1, 12)
    (architecture.positions, architecture.qkvBias, architecture.normEpsilon, architecture.initialDeviation) =
      (.absolute, .full, 1e-3, 0.2)
    let scope = ParameterScope(seed: 4)
    let model = try ClassificationModel(architecture, classes: classes.count, in: scope)
    let card = ModelCard(
      .init(architecture, norm: .pooled, head: .init(.classes, outputs: classes.count)),
      Self.preprocessing, classes: classes)
    try Checkpoint.write(
      CheckpointHeader(
        task: CheckpointHeader.imported, step: 0, epoch: 0, samplePosition: 0, updates: 0, seed: 0,
        configuration: "", card: .transformer(card)),
      parameters: scope.parameters, optimizer: nil, to: path)
    return model
  }

  private static let preprocessing = ModelCard.Preprocessing(
    normalization: ImageNormalization(mean: [0.5, 0.5, 0.5], standardDeviation: [0.5, 0.25, 0.5]),
    interpolation: .bilinear, resize: 53)
  private static let birds = ["wren", "a \"crow\"", "größer"]

  /// Expects a checkpoint to say the same as the unusual one, and to compute the same.
  private func expectUnusual(_ path: String, _ model: ClassificationModel, _ layout: WeightLayout) throws {
    let card = try #require(try Checkpoint.header(of: path).card?.transformer)
    #expect(card.architecture.heads == 12 && card.architecture.normEpsilon == 0.001, "\(layout): \(card)")
    #expect(card.preprocessing == Self.preprocessing, "\(layout): \(card)")
    #expect(card.classes == Self.birds, "\(layout)")
    let weights = try TransformerWeights(opening: path, communicator: Communicator())
    guard let found = try weights.loadModel(communicator: Communicator()) as? ClassificationModel else {
      Issue.record("no classification model")
      return
    }
    let images = randomTensor([2, 40, 40, 3], seed: 1)
    #expect(relativeError(found(images), model(images)) < 1e-5, "\(layout)")
  }

  @Test(arguments: WeightLayout.allCases)
  func whatWeightsDoNotTellTravelsWithThem(_ layout: WeightLayout) throws {
    try withTemporaryFolder { folder in
      let (first, second) = (folder + "/first.h5", folder + "/second.h5")
      let model = try writeUnusual(first, classes: Self.birds)
      let exported = folder + "/model.safetensors"
      let report = try WeightConversion.export(
        checkpoint: first, layout: layout, output: exported, averaged: false)
      #expect(report.unmatched == [] && report.summary.contains("[0.5, 0.25, 0.5]"), "\(report)")

      // In the file, without what lies beside it.
      let alone = folder + "/alone/model.safetensors"
      try FileManager.default.createDirectory(
        atPath: folder + "/alone", withIntermediateDirectories: false)
      try FileManager.default.copyItem(atPath: exported, toPath: alone)
      var request = WeightConversion.ImportRequest(source: alone, layout: layout, output: second)
      _ = try WeightConversion.importWeights(request)
      try expectUnusual(second, model, layout)

      // What is asked for comes first.
      request.told.heads = 6
      request.told.normalization = ImageNormalization(mean: [0, 0, 0.1], standardDeviation: [1, 1, 1])
      request.told.classes = ["a", "b", "c"]
      _ = try WeightConversion.importWeights(request)
      let asked = try #require(try Checkpoint.header(of: second).card?.transformer)
      #expect(asked.architecture.heads == 6 && asked.preprocessing.normalization.mean == [0, 0, 0.1])
      #expect(asked.classes == ["a", "b", "c"])

      // Beside the file, without its header. timm's models are known by their names.
      guard layout != .beit else { return }
      let bare = folder + "/bare.safetensors"
      try SafetensorsFile.write(tensors: try WeightConversionTests.contents(of: exported), to: bare)
      request = .init(source: bare, layout: layout, output: second)
      if layout == .timm { (request.told.heads, request.told.normEpsilon) = (12, 1e-3) }
      _ = try WeightConversion.importWeights(request)
      try expectUnusual(second, model, layout)
      let text = try String(contentsOfFile: folder + "/config.json", encoding: .utf8)
      #expect(!text.contains("\"architecture\""))
    }
  }

  @Test func aHeaderThatIsDamagedIsRefused() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/model.safetensors"
      let tensors = try WeightConversionTests.contents(of: published("timm_vit"))
      let whole = try ModelCard(.init(.init(.tiny), norm: .tokens)).json()
      for (text, problem) in [
        ("a, b", "it is not JSON"), ("{}", "kind is missing"),
        (whole.replacingOccurrences(of: #""heads":3"#, with: #""heads":0"#), "the heads is 0"),
        (whole.replacingOccurrences(of: "[0.485,", with: "["), "three numbers"),
        (
          whole.replacingOccurrences(of: #""norm":"norm""#, with: #""norm":"gelu""#),
          "norm has a value that is not known"
        ),
      ] {
        try SafetensorsFile.write(tensors: tensors, metadata: ["peco.card": text], to: path)
        let error = #expect(throws: RunError.self) {
          try WeightConversion.importWeights(
            .init(source: path, layout: .timm, output: folder + "/out.h5", told: .init(heads: 3)))
        }
        let message = "\(try #require(error))"
        #expect(message.contains("peco.card in its metadata is '\(text.prefix(40))'"), "\(message)")
        #expect(message.contains(problem), "\(message)")
      }
      try SafetensorsFile.write(tensors: tensors, metadata: ["peco.heads": "3"], to: path)
      let older = #expect(throws: RunError.self) {
        try WeightConversion.importWeights(.init(source: path, layout: .timm, output: folder + "/out.h5"))
      }
      #expect("\(try #require(older))".contains("export it again"))
    }
  }

  @Test(arguments: [
    ("config.json", #"{"pretrained_cfg": {"crop_pct": 0.9}}"#, 35),
    ("preprocessor_config.json", #"{"do_resize": true, "size": 32}"#, 32),
    ("preprocessor_config.json", #"{"do_resize": true, "size": {"height": 32, "width": 32}}"#, 32),
    (
      "preprocessor_config.json",
      #"{"do_resize": true, "do_center_crop": true, "crop_size": 32, "size": {"shortest_edge": 36}}"#, 36
    ),
    ("preprocessor_config.json", #"{"do_resize": false, "size": 40}"#, nil),
  ])
  func howLargeImagesAreShownIsReadBesideTheWeights(name: String, text: String, expected: Int?) throws {
    try withTemporaryFolder { folder in
      let (source, output) = (folder + "/model.safetensors", folder + "/out.h5")
      try FileManager.default.copyItem(atPath: published("timm_beit"), toPath: source)
      try text.write(toFile: "\(folder)/\(name)", atomically: true, encoding: .utf8)
      _ = try WeightConversion.importWeights(.init(source: source, layout: .timm, output: output))
      #expect(try Checkpoint.header(of: output).card?.transformer?.preprocessing.resize == expected)
    }
  }

  @Test(arguments: ["1e300", "-1e300", "4.000001e18"])
  func aRatioWithoutMeasureContradictsTheWeights(_ ratio: String) throws {
    try withTemporaryFolder { folder in
      let source = folder + "/model.safetensors"
      try FileManager.default.copyItem(atPath: published("timm_beit"), toPath: source)
      try #"{"architecture": "beit_base_patch16_224", "model_args": {"mlp_ratio": \#(ratio)}}"#.write(
        toFile: folder + "/config.json", atomically: true, encoding: .utf8)
      let error = #expect(throws: RunError.self) {
        try WeightConversion.importWeights(.init(source: source, layout: .timm, output: folder + "/out.h5"))
      }
      #expect("\(try #require(error))".contains("model_args.mlp_ratio' is"))
    }
  }

  @Test func theNamesOfClassesAreTakenOverUnlessTheyAreNumbers() throws {
    try withTemporaryFolder { folder in
      let (source, names) = (folder + "/source", folder + "/names.txt")
      try FileManager.default.copyItem(atPath: published("huggingface_mean"), toPath: source)
      func classes(_ given: [String]? = nil) throws -> [String]? {
        _ = try WeightConversion.importWeights(
          .init(
            source: source + "/model.safetensors", layout: .huggingface, output: folder + "/out.h5",
            told: .init(classes: given)))
        return try Checkpoint.header(of: folder + "/out.h5").card?.transformer?.classes
      }
      #expect(try classes() == nil)
      let text = try String(contentsOfFile: source + "/config.json", encoding: .utf8)
      try text.replacingOccurrences(of: "LABEL_", with: "bird ").write(
        toFile: source + "/config.json", atomically: true, encoding: .utf8)
      #expect(try classes() == (0..<5).map { "bird \($0)" })
      try "\u{FEFF}a\nb c\r\nd\ne \r\nf\n".write(toFile: names, atomically: true, encoding: .utf8)
      let given = try WeightConversion.ImportRequest.classNames(in: names)
      #expect(try classes(given) == ["a", "b c", "d", "e", "f"])
      let error = #expect(throws: RunError.self) { try classes(["a", "b"]) }
      #expect("\(try #require(error))".contains("2 names of classes"))
    }
  }

  @Test(arguments: [
    ("a\nb\n\nc\na\n", ["line 3 is empty", "'a' is in line 1 and in line 5"]),
    ("\u{FEFF}a\r\nb\r\n \r\n", ["line 3 is empty"]), ("\r\n", ["line 1 is empty"]), ("", ["is empty"]),
    ("x\nx \n", ["'x' is in line 1 and in line 2"]),
  ])
  func linesThatNameNoClassOfTheirOwnAreTold(_ text: String, _ tokens: [String]) throws {
    try withTemporaryFolder { folder in
      let path = folder + "/names.txt"
      try Data(text.utf8).write(to: URL(fileURLWithPath: path))
      let error = try #require(throws: RunError.self) {
        try WeightConversion.ImportRequest.classNames(in: path)
      }
      for token in [path] + tokens { #expect("\(error)".contains(token), "\(error)") }
    }
  }

  @Test func timmsNameIsGivenOnlyToWhatTimmComputesAlike() {
    var architecture = VisionTransformerConfiguration()
    #expect(architecture.timmName == "beit_base_patch16_224")
    architecture.normEpsilon = 1e-3
    #expect(architecture.timmName == nil)
    (architecture.positions, architecture.qkvBias, architecture.layerScale, architecture.normEpsilon) = (
      .absolute, .full, nil, 1e-12
    )
    #expect(architecture.timmName == "vit_base_patch16_224")
    architecture.imageSize = 384
    #expect(architecture.timmName == "vit_base_patch16_384")
    architecture.heads = 6
    #expect(architecture.timmName == nil)
    #expect(VisionTransformerConfiguration(.tiny).timmName == nil)
  }
}
