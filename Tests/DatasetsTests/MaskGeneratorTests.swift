import Datasets
import Testing

@Suite struct MaskGeneratorTests {
  private static let kinds: [MaskGenerator.Kind] = [.blockwise(), .random, .blockwise(minimumBlock: 1)]

  @Test(arguments: kinds) func everySampleMasksExactlyTheCount(_ kind: MaskGenerator.Kind) throws {
    for count in [16, 75, 118, 195] {
      let generator = try MaskGenerator(height: 14, width: 14, count: count, kind: kind)
      for index in 0..<200 {
        let positions = generator.positions(seed: 5, epoch: 1, index: index)
        #expect(positions.count == count)
        #expect(positions == Set(positions).sorted())
        #expect(positions.allSatisfy { (0..<196).contains($0) })
      }
    }
  }

  @Test func masksDependOnSeedEpochAndIndexAlone() throws {
    let generator = try MaskGenerator(height: 14, width: 14, count: 75)
    let mask = generator.positions(seed: 1, epoch: 2, index: 3)
    #expect(generator.positions(seed: 1, epoch: 2, index: 3) == mask)
    #expect(generator.positions(seed: 2, epoch: 2, index: 3) != mask)
    #expect(generator.positions(seed: 1, epoch: 3, index: 3) != mask)
    #expect(generator.positions(seed: 1, epoch: 2, index: 4) != mask)
  }

  @Test func blocksHangTogetherWhereRandomPatchesDoNot() throws {
    func neighbors(_ kind: MaskGenerator.Kind) throws -> Double {
      let generator = try MaskGenerator(height: 14, width: 14, count: 75, kind: kind)
      var pairs = 0
      for index in 0..<300 {
        let mask = Set(generator.positions(seed: 9, epoch: 0, index: index))
        for p in mask where p % 14 < 13 && mask.contains(p + 1) { pairs += 1 }
      }
      return Double(pairs) / 300
    }
    // Of 182 horizontal pairs, random masks hold 182 · (75 · 74) / (196 · 195) = 26.4.
    let random = try neighbors(.random)
    #expect(abs(random - 26.4) < 1)
    // BEiT's published generator: 62.5.
    #expect(abs(try neighbors(.blockwise()) - 62.5) < 2)
  }

  @Test func patchesAreMaskedAsOftenAsByThePublishedCode() throws {
    let generator = try MaskGenerator(height: 14, width: 14, count: 75)
    var counts = [Int](repeating: 0, count: 196)
    for index in 0..<2000 {
      for p in generator.positions(seed: 4, epoch: 0, index: index) { counts[Int(p)] += 1 }
    }
    let share = counts.map { Double($0) / 2000 }
    // How often BEiT's published generator masks the diagonal from a corner to the middle, over 4000 masks, and
    // this one, which masks half a patch more, on average.
    let published = [0.040, 0.165, 0.323, 0.470, 0.574, 0.662, 0.702]
    for (i, expected) in published.enumerated() {
      for (row, column) in [(i, i), (i, 13 - i), (13 - i, i), (13 - i, 13 - i)] {
        #expect(abs(share[row * 14 + column] - expected) < 0.045, "row \(row), column \(column)")
      }
    }
  }

  @Test func aSingleBlockHasTheAskedForAreaAndAspect() throws {
    // With the smallest block as large as the count, the first block decides the aspect.
    let generator = try MaskGenerator(
      height: 20, width: 20, count: 36, kind: .blockwise(minimumBlock: 36, minimumAspect: 0.5))
    for index in 0..<300 {
      let rows = Set(generator.positions(seed: 2, epoch: 0, index: index).map { $0 / 20 })
      let columns = Set(generator.positions(seed: 2, epoch: 0, index: index).map { $0 % 20 })
      let ratio = Double(rows.count) / Double(columns.count)
      #expect(ratio > 0.3 && ratio < 3.3)
    }
  }

  @Test func gridsNeedNotBeSquare() throws {
    let generator = try MaskGenerator(height: 4, width: 9, count: 12, kind: .blockwise(minimumBlock: 4))
    for index in 0..<50 { #expect(generator.positions(seed: 0, epoch: 0, index: index).count == 12) }
  }

  @Test func impossibleMasksAreErrorsBeforeTraining() {
    func error(_ count: Int, _ kind: MaskGenerator.Kind = .blockwise(), side: Int = 14) -> String {
      message { _ = try MaskGenerator(height: side, width: side, count: count, kind: kind) }
    }
    #expect(error(0).contains("masked patches"))
    #expect(error(-1, .random).contains("masked patches"))
    #expect(error(196).contains("195"))
    #expect(error(300, .random).contains("196 patches"))
    // BEiT masks nothing here, and its loss becomes NaN.
    #expect(error(10).contains("smallest block"))
    #expect(error(15, side: 4).contains("smallest block"))
    #expect(error(75, .blockwise(minimumBlock: 0)).contains("smallest block"))
    #expect(error(75, .blockwise(minimumAspect: 0)).contains("block aspect"))
    #expect(error(20, .blockwise(minimumBlock: 17), side: 5).contains("at most 16"))
  }
}
