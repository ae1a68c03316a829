import Communication
import Datasets
import Features
import Foundation
import Imaging
import Interoperability
import Layers
import MaskedImageModeling
import Models
import Operations
import Storage
import Tensors
import Testing
import Tokenizers

extension Computing {
  /// The figures of `peco figure`, against what tokenizers and transformers give.
  @Suite struct FigureTests {
    private func failure(_ body: () throws -> Void) -> String {
      let error = #expect(throws: (any Error).self) { try body() }
      return error.map { "\($0)" } ?? ""
    }

    // MARK: - Reconstructions

    @Test func reconstructionsAreWhatTheTokenizersDraw() throws {
      try withTemporaryFolder { folder in
        let workshop = try FigureWorkshop(folder)
        let paths = [try workshop.tokenizer("plain", seed: 1), try workshop.tokenizer("other", seed: 2)]
        let shown = [3, 17, 5]
        let table = try ReconstructionFigure.draw(
          .init(tokenizers: paths, dataset: workshop.dataset, images: .listed(shown)))
        #expect(table.headings == ["input", "plain", "other"] && table.rows.count == 3)
        let image = table.image()
        // Images of 32 × 32 four times as large, 6 pixels apart, under a line of text.
        #expect(image.width == 6 + 3 * 134 && image.height == 6 + 18 + 3 * 134)

        // In one batch, as they were drawn: the same bits.
        let views = try workshop.views(of: shown)
        for row in shown.indices {
          let input = FigureWorkshop.image(views, row).enlarged(by: 4)
          #expect(try image.cell(table, row: row, column: 0) == input)
          for (column, path) in paths.enumerated() {
            let model = try FigureWorkshop.load(path)
            let drawn = model.images(from: model.tokens(views))
            #expect(
              try image.cell(table, row: row, column: column + 1)
                == FigureWorkshop.image(drawn, row).enlarged(by: 4))
          }
        }
        #expect(table.rows[0].images[1] != table.rows[0].images[2])

        // `peco tokenizer reconstruct` draws all images, eight in a row, three times as large, 2 pixels apart.
        _ = try Reconstruction.run(
          tokenizer: paths[1], dataset: workshop.dataset, output: folder + "/grid.png",
          count: FigureWorkshop.images, measure: FigureWorkshop.images)
        let grid = try Image(contentsOf: folder + "/grid.png")
        for (row, image) in shown.enumerated() {
          let own = try grid.cropped(
            to: Region(
              x: 2 + image % 8 * 98, y: 2 + (image / 8 * 2 + 1) * 98, width: 96, height: 96))
          let other = table.rows[row].images[2]
          #expect(
            try own.resized(width: 32, height: 32, filter: .box)
              .isNear(other.resized(width: 32, height: 32, filter: .box), within: 2))
        }
      }
    }

    @Test func imagesAreDrawnBySeed() throws {
      try withTemporaryFolder { folder in
        let workshop = try FigureWorkshop(folder)
        let path = try workshop.tokenizer("plain", seed: 1)
        func draw(_ count: Int, _ seed: UInt64) throws -> Image {
          try ReconstructionFigure.draw(
            .init(
              tokenizers: [path], labels: ["a label longer than its column is wide"],
              dataset: workshop.dataset, images: .drawn(count: count, seed: seed))
          ).image()
        }
        #expect(try draw(2, 1) == draw(2, 1))
        #expect(try draw(2, 1) != draw(2, 2))
        // Five lines of text: ten letters fit above 128 pixels.
        #expect(try draw(2, 1).height == 6 + 5 * 18 + 2 * 134)
        #expect(failure { _ = try draw(31, 1) }.contains("30"))
        #expect(
          failure {
            _ = try ReconstructionFigure.draw(
              .init(tokenizers: [path], dataset: workshop.dataset, images: .listed([30])))
          }.contains("no image 30"))
        #expect(
          failure {
            _ = try ReconstructionFigure.draw(
              .init(
                tokenizers: [path], labels: ["a", "b"], dataset: workshop.dataset, images: .listed([0])))
          }.contains("--label"))
      }
    }

    // MARK: - Codebook

    @Test func patchesInARowShareTheirToken() throws {
      try withTemporaryFolder { folder in
        let workshop = try FigureWorkshop(folder)
        var request = CodebookFigure.Request(
          tokenizer: try workshop.tokenizer("plain", seed: 1), dataset: workshop.dataset)
        (request.codes, request.patches, request.context) = (.frequent(3), 4, 1)
        let figure = try CodebookFigure.draw(request)
        let views = try workshop.views()
        let model = try FigureWorkshop.load(request.tokenizer)
        // In batches as they were looked through: the same bits.
        let tokens = stride(from: 0, to: 30, by: 8).flatMap { first in
          model.tokens(views.view(at: first * 32 * 32 * 3, shape: [min(8, 30 - first), 32, 32, 3]))
        }
        #expect(figure.entries.count == 3 && Set(figure.entries.map(\.code)).count == 3)
        let image = figure.table.image()
        for (row, entry) in figure.entries.enumerated() {
          #expect(entry.share == Double(tokens.count { $0 == entry.code }) / Double(tokens.count))
          #expect(entry.examples.count == 4 && Set(entry.examples.map(\.image)).count == 4)
          for (column, example) in entry.examples.enumerated() {
            #expect(tokens[example.image * 16 + example.token] == entry.code)
            // The patch in the middle of three by three, each of 8 × 8 pixels four times as large.
            let patch = try FigureWorkshop.image(views, example.image).cropped(
              to: Region(x: example.token % 4 * 8, y: example.token / 4 * 8, width: 8, height: 8))
            let cell = try image.cell(figure.table, row: row, column: column)
            #expect(cell.width == 96)
            #expect(
              try cell.cropped(to: Region(x: 32, y: 32, width: 32, height: 32)) == patch.enlarged(by: 4))
            #expect(cell.pixels[(31 * 96 + 31) * 3..<(31 * 96 + 32) * 3] == [255, 221, 0])
          }
        }
        #expect(try CodebookFigure.draw(request).entries == figure.entries)
        request.seed = 1
        #expect(try CodebookFigure.draw(request).entries != figure.entries)
        // A token that is asked for is found in as many images as have it.
        let token = Int(tokens[0])
        let images = (0..<30).count { tokens[$0 * 16..<$0 * 16 + 16].contains(Int32(token)) }
        (request.codes, request.patches) = (.listed([token]), 30)
        #expect(try CodebookFigure.draw(request).entries.map(\.examples.count) == [images])
      }
    }

    @Test func whatThereAreNoTokensOfIsSaid() throws {
      try withTemporaryFolder { folder in
        let workshop = try FigureWorkshop(folder)
        let request = CodebookFigure.Request(
          tokenizer: try workshop.tokenizer("plain", seed: 1), dataset: workshop.dataset)
        func failure(_ change: (inout CodebookFigure.Request) throws -> Void) -> String {
          self.failure {
            var changed = request
            try change(&changed)
            _ = try CodebookFigure.draw(changed)
          }
        }
        #expect(failure { $0.codes = .frequent(25) }.contains("--codes"))
        #expect(failure { $0.codes = .listed([24]) }.contains("no code 24"))
        #expect(failure { $0.images = 31 }.contains("31"))
        #expect(failure { $0.tokenizer = folder + "/nowhere" }.contains("nowhere"))
        #expect(failure { $0.dataset = folder + "/nothing.h5" }.contains("nothing.h5"))
        let transformer = try workshop.transformer("vit", seed: 1, tokens: "tokenizer: x")
        #expect(failure { $0.tokenizer = transformer }.contains("tokenizer's is needed"))
      }
    }

    // MARK: - Masked images

    @Test func predictedTokensAreDrawnWhereTheMaskIs() throws {
      try withTemporaryFolder { folder in
        let workshop = try FigureWorkshop(folder)
        let tokenizers = [try workshop.tokenizer("t1", seed: 1), try workshop.tokenizer("t2", seed: 2)]
        let models = try tokenizers.enumerated().map { number, path in
          try workshop.transformer("m\(number)", seed: UInt64(number), tokens: "tokenizer: \(path)")
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
          guard case .maskedImage(let model) = try weights.loadModel(communicator: Communicator()) else {
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
        let moved = try workshop.transformer("moved", seed: 1, tokens: "tokenizer: runs/moved")
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
        let model = try workshop.transformer("file", seed: 1, tokens: "file: \(tokens)")
        #expect(failure(model).contains("--tokenizer"))
        let other = try workshop.tokenizer("other", seed: 5)
        #expect(failure(model, [other]).contains("did not make"))
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
          models: [try workshop.transformer("vit", seed: 1, tokens: "tokenizer: \(tokenizers[0])")],
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

    // MARK: - Attention

    @Test func mapsAreTheLastBlocksAttention() throws {
      try withTemporaryFolder { folder in
        let workshop = try FigureWorkshop(folder)
        let path = try workshop.transformer("vit", seed: 4, tokens: "tokenizer: x")
        var request = AttentionFigure.Request(
          checkpoint: path, dataset: workshop.dataset, images: .listed([2, 9]))
        request.references = .listed([.init(row: 1, column: 2), .init(row: 3, column: 0)])
        let figure = try AttentionFigure.draw(request)
        #expect(figure.table.rows.map(\.images.count) == [3, 3])
        let heads = try (0..<3).map { head in
          request.head = head
          return try AttentionFigure.draw(request).maps
        }
        request.head = nil
        request.block = 1
        let first = try AttentionFigure.draw(request).maps

        let weights = try TransformerWeights(opening: path, communicator: Communicator())
        let backbone = try weights.loadModel(communicator: Communicator()).backbone
        let images = try workshop.views(of: [2, 9], mean: [0.5, 0.4, 0.3], deviation: [0.2, 0.3, 0.4])
        for row in 0..<2 {
          let own = images.view(at: row * 32 * 32 * 3, shape: [1, 32, 32, 3])
          for (column, patch) in [6, 12].enumerated() {
            let map = figure.maps[row][column]
            #expect(map.reference == patch && map.attention.count == 16)
            let expected = backbone.attentionProbabilities(own, rows: [1 + patch], block: 2).elements
            for place in 0..<16 {
              let single = (0..<3).map { heads[$0][row][column].attention[place] }
              #expect((0..<3).allSatisfy { abs(single[$0] - expected[$0 * 17 + 1 + place]) < 1e-5 })
              #expect(abs(map.attention[place] - single.reduce(0, +) / 3) < 1e-6)
            }
            let classToken = (expected[0] + expected[17] + expected[34]) / 3
            #expect(abs(map.attention.reduce(classToken, +) - 1) < 1e-5)
            #expect(first[row][column].attention != map.attention)

            // Patches of 40 × 40 pixels: a blue line around the reference, and the palest where it looks most.
            let image = figure.table.rows[row].images[1 + column]
            #expect(image.width == 160)
            func pixel(_ patch: Int, _ x: Int, _ y: Int) -> [Int] {
              let place = ((patch / 4 * 40 + y) * 160 + patch % 4 * 40 + x) * 3
              return image.pixels[place..<place + 3].map { Int($0) }
            }
            for (x, y) in [(0, 0), (39, 20), (20, 39)] { #expect(pixel(patch, x, y) == [0, 230, 255]) }
            let most = try #require(map.attention.indices.max { map.attention[$0] < map.attention[$1] })
            let gray = try #require(figure.table.rows[row].images.first)
            let start = ((most / 4 * 40 + 20) * 160 + most % 4 * 40 + 20) * 3
            let (red, green, blue) = (
              Double(gray.pixels[start]), Double(gray.pixels[start + 1]), Double(gray.pixels[start + 2])
            )
            let luma = (0.299 * red + 0.587 * green + 0.114 * blue).rounded()
            let palest = [252, 255, 164].map { Int((luma + ($0 - luma) * 0.65).rounded()) }
            #expect(pixel(most, 20, 20) == palest)
          }
        }
      }
    }

    @Test func referencesAreDrawnBySeedAndChecked() throws {
      try withTemporaryFolder { folder in
        let workshop = try FigureWorkshop(folder)
        let path = try workshop.transformer("vit", seed: 4, tokens: "tokenizer: x")
        func references(_ change: (inout AttentionFigure.Request) -> Void) throws -> [[Int]] {
          var request = AttentionFigure.Request(
            checkpoint: path, dataset: workshop.dataset, images: .drawn(count: 3, seed: 1))
          change(&request)
          return try AttentionFigure.draw(request).maps.map { $0.map(\.reference) }
        }
        let drawn = try references { $0.references = .drawn(5) }
        #expect(drawn.count == 3 && drawn.allSatisfy { Set($0).count == 5 } && drawn[0] != drawn[1])
        #expect(try references { $0.references = .drawn(5) } == drawn)
        #expect(
          try references {
            $0.references = .drawn(5)
            $0.seed = 7
          } != drawn)
        func failure(_ change: (inout AttentionFigure.Request) -> Void) -> String {
          self.failure { _ = try references(change) }
        }
        #expect(failure { $0.references = .drawn(17) }.contains("4 × 4"))
        #expect(failure { $0.references = .listed([.init(row: 4, column: 0)]) }.contains("4,0"))
        let twice = [(0, 1), (2, 3), (0, 1)].map { AttentionFigure.Place(row: $0.0, column: $0.1) }
        #expect(failure { $0.references = .listed(twice) }.contains("patch 0,1 is asked for twice"))
        #expect(failure { $0.block = 3 }.contains("--block"))
        #expect(failure { $0.block = 0 }.contains("--block"))
        #expect(failure { $0.head = 3 }.contains("--head"))
        #expect(failure { $0.images = .drawn(count: 31, seed: 0) }.contains("30"))
        let tokenizer = try workshop.tokenizer("tokens", seed: 1)
        #expect(failure { $0.checkpoint = tokenizer }.contains("vision transformer"))
      }
    }
  }
}
