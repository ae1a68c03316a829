import Communication
import FigureWorkshop
import Imaging
import Interoperability
import MaskedImageModeling
import Models
import Operations
import Storage
import TaskSupport
import TestSupport
import Testing
import Tokenizers
import Visualization

/// The figures of `peco figure`, about masked images.
@Suite struct MaskedFigureTests {
  private func failure(_ body: () throws -> Void) -> String {
    let error = #expect(throws: (any Error).self) { try body() }
    return error.map { "\($0)" } ?? ""
  }

  @Test func predictedTokensAreDrawnWhereTheMaskIs() throws {
    try withTemporaryFolder { folder in
      let workshop = try FigureWorkshop(folder)
      let tokenizers = [try workshop.tokenizer("t1", seed: 1), try workshop.tokenizer("t2", seed: 2)]
      let models = try tokenizers.enumerated().map { number, path in
        try workshop.transformer("m\(number)", seed: UInt64(number), tokenizer: path)
      }
      var request = MaskedFigure.Request(
        models: models, dataset: workshop.dataset, images: .listed([4, 21]))
      request.labels = ["first", "second"]
      request.seed = 3
      let figure = try MaskedFigure.draw(request)
      #expect(figure.table.headings == ["image", "masked", "first", "second"])
      #expect(figure.masked.count == 2 && figure.masked.allSatisfy { Set($0).count == 6 })
      #expect(figure.masked[0] != figure.masked[1])

      let views = try workshop.views(of: [4, 21])
      for row in 0..<2 {
        let original = FigureWorkshop.image(views, row)
        let images = figure.table.rows[row].images
        // It went through the transformer's normalization and back.
        #expect(images[0].isNear(original.enlarged(by: 4), within: 1))
        for y in 0..<128 {
          for x in 0..<128 {
            let isMasked = figure.masked[row].contains(y / 32 * 4 + x / 32)
            let place = (y * 128 + x) * 3
            let expected = isMasked ? [128, 128, 128] : Array(images[0].pixels[place..<place + 3])
            if Array(images[1].pixels[place..<place + 3]) != expected {
              Issue.record("row \(row), pixel \(x), \(y)")
            }
          }
        }
      }

      let normalized = try workshop.views(
        of: [4, 21], mean: [0.5, 0.4, 0.3], deviation: [0.2, 0.3, 0.4])
      let masked = figure.masked.enumerated().flatMap { row, own in own.map { Int32(row * 16 + $0) } }
      for (number, path) in tokenizers.enumerated() {
        let tokenizer = try FigureWorkshop.load(path)
        let weights = try TransformerWeights(opening: models[number], communicator: Communicator())
        guard let model = try weights.loadModel(communicator: Communicator()) as? MaskedImageModel else {
          Issue.record("no masked image model")
          continue
        }
        var tokens = tokenizer.tokens(views)
        let own = tokens
        for (patch, token) in zip(masked, argmax(model(normalized, masked: masked))) {
          tokens[Int(patch)] = token
        }
        #expect(tokens != own)
        let drawn = tokenizer.images(from: tokens)
        for row in 0..<2 {
          #expect(
            figure.table.rows[row].images[2 + number]
              == FigureWorkshop.image(drawn, row).enlarged(by: 4))
        }
        let correct = masked.count { tokens[Int($0)] == own[Int($0)] }
        #expect(figure.scores[number].correct == correct && figure.scores[number].masked == 12)
      }
      request.maskRatio = 0.5
      #expect(try MaskedFigure.draw(request).masked.allSatisfy { $0.count == 8 })
    }
  }

  @Test func modelsAndTokenizersMustBelongTogether() throws {
    try withTemporaryFolder { folder in
      let workshop = try FigureWorkshop(folder)
      let tokenizer = try workshop.tokenizer("tokens", seed: 1)
      func failure(_ model: String, _ tokenizers: [String] = []) -> String {
        self.failure {
          var request = MaskedFigure.Request(
            models: [model], dataset: workshop.dataset, images: .listed([0]))
          request.tokenizers = tokenizers
          _ = try MaskedFigure.draw(request)
        }
      }
      let moved = try workshop.transformer("moved", seed: 1, tokenizer: "runs/moved")
      let missing = failure(moved)
      #expect(missing.contains("runs/moved") && missing.contains("--tokenizer"))
      let larger = try workshop.tokenizer("larger", seed: 1, tokens: 30)
      #expect(failure(moved, [larger]).contains("30"))
      #expect(failure(moved, [tokenizer, tokenizer]).contains("--tokenizer"))
      #expect(failure(tokenizer).contains("vision transformer"))
      #expect(failure(folder + "/nowhere").contains("nowhere"))

      // Tokens in a file: of the tokenizer that made it, and no other.
      let tokens = folder + "/tokens.h5"
      try TokenEncoding.run(
        .init(
          tokenizer: tokenizer, dataset: workshop.dataset, output: tokens, views: 0, leastCropScale: 1,
          seed: 0, batchSize: 30), communicator: Communicator())
      let model = try workshop.transformer("file", seed: 1, tokenizer: tokenizer, tokens: tokens)
      #expect(failure(model).contains("--tokenizer"))
      let other = try workshop.tokenizer("other", seed: 5)
      #expect(failure(model, [other]).contains("another tokenizer"))
      var request = MaskedFigure.Request(
        models: [model], dataset: workshop.dataset, images: .listed([0]))
      request.tokenizers = [tokenizer]
      #expect(try MaskedFigure.draw(request).table.headings == ["image", "masked", "file"])
    }
  }

  @Test func aTokenizerIsShownWhatGivesATokenAPatch() throws {
    try withTemporaryFolder { folder in
      let workshop = try FigureWorkshop(folder)
      let tokenizers = [
        try workshop.tokenizer("same", seed: 1),
        try workshop.tokenizer("larger", seed: 1, imageSize: 64),
      ]
      var request = MaskedFigure.Request(
        models: [try workshop.transformer("vit", seed: 1, tokenizer: tokenizers[0])],
        dataset: workshop.dataset, images: .listed([4, 21]))
      let figures = try tokenizers.map { tokenizer in
        request.tokenizers = [tokenizer]
        return try MaskedFigure.draw(request)
      }
      #expect(figures[0].scores == figures[1].scores)
      #expect(figures[0].table.image() == figures[1].table.image())

      func encode(_ tokenizer: String, imageSize: Int?) throws -> [UInt16] {
        let output = folder + "/tokens.h5"
        try TokenEncoding.run(
          .init(
            tokenizer: tokenizer, dataset: workshop.dataset, output: output, views: 0, leastCropScale: 1,
            seed: 0, batchSize: 30, imageSize: imageSize), communicator: Communicator())
        return try HDF5File(opening: output).read("tokens", as: UInt16.self)
      }
      let tokens = try encode(tokenizers[0], imageSize: nil)
      #expect(tokens.count == 30 * 16 && Set(tokens).count > 1)
      #expect(try encode(tokenizers[1], imageSize: 32) == tokens)
      #expect(try encode(tokenizers[1], imageSize: nil).count == 30 * 64)
      #expect(failure { _ = try encode(tokenizers[1], imageSize: 36) }.contains("multiple of 8"))
    }
  }
}
