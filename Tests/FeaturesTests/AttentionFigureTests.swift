import Communication
import Features
import FigureWorkshop
import Imaging
import Interoperability
import Models
import TaskSupport
import Tensors
import TestSupport
import Testing
import Visualization

/// The figures of `peco figure`, against what tokenizers and transformers give.
@Suite struct AttentionFigureTests {
  private func failure(_ body: () throws -> Void) -> String {
    let error = #expect(throws: (any Error).self) { try body() }
    return error.map { "\($0)" } ?? ""
  }

  @Test func mapsAreTheLastBlocksAttention() throws {
    try withTemporaryFolder { folder in
      let workshop = try FigureWorkshop(folder)
      let path = try workshop.transformer("vit", seed: 4, tokenizer: "x")
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
      let path = try workshop.transformer("vit", seed: 4, tokenizer: "x")
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
