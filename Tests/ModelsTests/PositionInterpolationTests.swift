import Models
import Tensors
import TestSupport
import Testing

/// Tables of positions for other grids, against what BEiT's published code makes of them.
@Suite struct PositionInterpolationTests {
  @Test(arguments: [(4, 6), (7, 4), (6, 7), (5, 12)])
  func relativeTables(from: Int, to: Int) throws {
    let fixture = try FixtureFile("positions.h5")["relative"]["\(from)_\(to)"]
    let before = try fixture.tensor("before").elements
    let after = PositionInterpolation.relative(before, heads: 2, from: from, to: to)
    #expect(relativeError(after, try fixture.tensor("after").elements) < 1e-5)
  }

  @Test(arguments: [(4, 6), (7, 4), (6, 7), (5, 12)])
  func absoluteTables(from: Int, to: Int) throws {
    let fixture = try FixtureFile("positions.h5")["absolute"]["\(from)_\(to)"]
    let before = try fixture.tensor("before").elements
    let after = PositionInterpolation.absolute(before, width: 3, from: from, to: to)
    #expect(relativeError(after, try fixture.tensor("after").elements) < 1e-5)
  }

  @Test func theSameGridKeepsItsTable() {
    let table = randomTensor([28, 2], seed: 1).elements
    #expect(PositionInterpolation.relative(table, heads: 2, from: 3, to: 3) == table)
  }

  @Test func smallGridsGrow() {
    // Offsets −1, 0, 1: a parabola through three points, constant beyond them.
    let table = (0..<9).map { Float($0 % 3) } + [7, 8, 9]
    let after = PositionInterpolation.relative(table, heads: 1, from: 2, to: 3)
    #expect(relativeError(Array(after[..<5]), [0, 0, 1, 2, 2]) < 1e-6)
    #expect(after[25...] == [7, 8, 9])
  }
}
