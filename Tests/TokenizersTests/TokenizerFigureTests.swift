import FigureWorkshop
import Imaging
import Models
import TaskSupport
import Tensors
import TestSupport
import Testing
import Tokenizers
import Visualization

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
      let transformer = try workshop.transformer("vit", seed: 1, tokenizer: "x")
      #expect(failure { $0.tokenizer = transformer }.contains("tokenizer's is needed"))
    }
  }
}
