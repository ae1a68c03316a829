import Layers
import Operations
import Tensors
import TestSupport
import Testing

/// Operations that take the positions of a transformer to another grid.
@Suite struct PositionOperationsTests {
  init() { useSeveralThreads() }

  private static let map = GridMap(
    rows: [[0.5, 0.5, 0], [0, 1, 0], [-0.25, 0, 1.25], [0, 0.25, 0.75]],
    columns: [[0.75, 0.25], [0, 1], [1, -1]])

  /// Values from the definition: what stands beside the grid stays, the rest is weighted along both sides.
  @Test func gridsAreWeightedAlongBothSides() {
    let table = randomTensor([1 + 6 + 2, 5], seed: 1)
    let y = resampleGrid(table, Self.map, first: 1)
    #expect(y.shape == [1 + 12 + 2, 5])
    #expect(y[rows: 0..<1].elements == table[rows: 0..<1].elements)
    #expect(y[rows: 13..<15].elements == table[rows: 7..<9].elements)
    var expected: [Float] = []
    for rows in Self.map.rows {
      for columns in Self.map.columns {
        for channel in 0..<5 {
          var sum = 0.0
          for (i, a) in rows.enumerated() {
            for (j, b) in columns.enumerated() { sum += a * b * Double(table[(1 + i * 2 + j) * 5 + channel]) }
          }
          expected.append(Float(sum))
        }
      }
    }
    #expect(relativeError(y[rows: 1..<13].elements, expected) < 1e-6)
  }

  @Test func gradientsAreSlopes() {
    let table = randomTensor([1 + 6 + 3, 4], seed: 2)
    #expect(gradientError(of: [table]) { resampleGrid($0[0], Self.map, first: 1) } < 1e-3)
    let offsets = randomTensor([3 * 5 + 3, 2], seed: 3)
    let rows = relativePositionRows(gridHeight: 2, gridWidth: 3)
    #expect(gradientError(of: [offsets]) { relativePositionBias($0[0], rows: rows, tokens: 7) } < 1e-3)
    let inputs = [[1, 1, 4], [6, 4], [1, 4, 4]].enumerated().map {
      randomTensor($1, seed: UInt64(4 + $0))
    }
    #expect(gradientError(of: inputs) { tokenSequence($0[0], $0[1], positions: $0[2], samples: 2) } < 1e-3)
    #expect(
      gradientError(of: Array(inputs.prefix(2))) {
        tokenSequence($0[0], $0[1], positions: nil, samples: 2)
      } < 1e-3)
    let parameter = ParameterScope(seed: 0).parameter("table", [4, 3], .normal(1), role: .positionEmbedding)
    #expect(
      gradientError(of: [table], parameters: [parameter]) {
        weightedSum([
          (1, meanSquaredError(value(of: parameter, alongside: $0[0]), Tensor([4, 3]))),
          (2, meanSquaredError($0[0], Tensor(table.shape))),
        ])
      } < 1e-3)
  }

  /// The layers' own operations on the trained grid give the same bits.
  @Test func theTrainedGridAgreesWithTheLayers() {
    let scope = ParameterScope(seed: 0)
    let assembly = TokenAssembly(
      patches: 6, width: 8, maskToken: false, positions: true, in: scope, initializer: .normal(1))
    let bias = RelativePositionBias(gridHeight: 2, gridWidth: 3, heads: 2, in: scope)
    bias.table.value.copyElements(from: randomTensor(bias.table.shape, seed: 1))
    let patches = randomTensor([12, 8], seed: 2)
    #expect(
      tokenSequence(assembly.classToken.value, patches, positions: assembly.positions?.value, samples: 2)
        .elements
        == assembly(patches, visible: nil, samples: 2).elements)
    let rows = relativePositionRows(gridHeight: 2, gridWidth: 3)
    #expect(rows == bias.index)
    #expect(
      relativePositionBias(bias.table.value, rows: rows, tokens: 7).elements
        == bias(alongside: patches).elements)
  }

  @Test func resultsDoNotDependOnThreads() throws {
    let (table, dy) = (randomTensor([1 + 6, 300], seed: 5), randomTensor([1 + 12, 300], seed: 6))
    let results = try [1, 3].map { threads in
      let context = try ExecutionContext(threads: threads)
      return ExecutionContext.$current.withValue(context) {
        differentiate([table], dy: dy) { resampleGrid($0[0], Self.map, first: 1) }
      }
    }
    #expect(results[0].y.elements == results[1].y.elements)
    #expect(results[0].gradients[0]?.elements == results[1].gradients[0]?.elements)
  }
}
