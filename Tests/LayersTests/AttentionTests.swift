import Layers
import Operations
import Tensors
import TestSupport
import Testing

@Suite struct AttentionTests {
  private let fixtures: FixtureFile

  init() throws { fixtures = try FixtureFile("transformer.h5", of: "OperationsTests") }

  @Test func productMatchesPyTorch() throws {
    let fixture = fixtures["attention"]
    let inputs = [try fixture.tensor("qkv"), try fixture.tensor("bias")]
    let (y, gradients) = differentiate(inputs, dy: try fixture.tensor("dy")) {
      scaledDotProductAttention($0[0], heads: 3, bias: $0[1])
    }
    #expect(relativeError(y, try fixture.tensor("y")) <= 1e-5)
    #expect(relativeError(gradients[0], try fixture.tensor("dqkv")) <= 1e-5)
    #expect(relativeError(gradients[1], try fixture.tensor("dbias")) <= 1e-5)
  }

  /// Values weighed by the probabilities are what attention gives, in PyTorch's numbers.
  @Test func probabilitiesWeighValues() throws {
    let fixture = fixtures["attention"]
    let (qkv, bias) = (try fixture.tensor("qkv"), try fixture.tensor("bias"))
    let (samples, tokens, width, heads) = (5, 19, 36, 3)
    let rows = [0, 7, 18, 19, 40, 94]
    func part(_ number: Int, _ rows: [Int]) -> [Float] {
      rows.flatMap { row in (0..<width).map { qkv.elements[(row * 3 + number) * width + $0] } }
    }
    let all = Array(0..<samples * tokens)
    let probabilities = attentionProbabilities(
      Tensor(part(0, rows), shape: [rows.count, width]), rows: rows,
      key: Tensor(part(1, all), shape: [samples, tokens, width]), heads: heads, bias: bias)
    #expect(probabilities.shape == [rows.count, heads, tokens])
    let (weights, values) = (probabilities.elements, part(2, all))
    let expected = try fixture.tensor("y").elements
    for (place, row) in rows.enumerated() {
      let found = (0..<width).map { element -> Float in
        let first = (place * heads + element / (width / heads)) * tokens
        return (0..<tokens).reduce(Float(0)) {
          $0 + weights[first + $1] * values[(row / tokens * tokens + $1) * width + element]
        }
      }
      #expect(relativeError(found, Array(expected[row * width..<(row + 1) * width])) <= 1e-5, "row \(row)")
    }
    for first in stride(from: 0, to: weights.count, by: tokens) {
      #expect(abs(weights[first..<first + tokens].reduce(0, +) - 1) < 1e-6)
    }
  }

  private func module(_ fixture: FixtureFile, bias: Attention.Bias) throws -> Attention {
    let scope = ParameterScope(seed: 0)
    let attention = Attention(36, heads: 3, bias: bias, in: scope)
    for parameter in attention.parameters { parameter.set(try fixture.tensor(fixtureName(parameter))) }
    return attention
  }

  private func fixtureName(_ parameter: Parameter) -> String {
    parameter.name.replacing(".", with: "_")
  }

  @Test(arguments: [Attention.Bias.queryValue, .full], ActivationCheckpointing.allCases)
  func moduleMatchesPyTorch(bias: Attention.Bias, checkpointing: ActivationCheckpointing) throws {
    let fixture = fixtures[bias == .full ? "attention_full_bias" : "attention_module"]
    let attention = try module(fixture, bias: bias)
    var inputs = [try fixture.tensor("x")]
    if bias == .queryValue { inputs.append(try fixture.tensor("bias")) }
    let (y, gradients) = differentiate(
      inputs, dy: try fixture.tensor("dy"), activationCheckpointing: checkpointing
    ) {
      attention($0[0], bias: $0.count > 1 ? $0[1] : nil)
    }
    #expect(relativeError(y, try fixture.tensor("y")) <= 1e-5)
    #expect(relativeError(gradients[0], try fixture.tensor("dx")) <= 1e-5)
    if bias == .queryValue { #expect(relativeError(gradients[1], try fixture.tensor("dbias")) <= 1e-5) }
    for parameter in attention.parameters {
      let expected = try fixture.tensor("d" + fixtureName(parameter))
      #expect(relativeError(parameter.gradient, expected) <= 1e-5, "\(parameter.name)")
    }
  }

  /// Queries for some tokens only: values and gradients as if the others' results had not been used. One sample
  /// has no query at all.
  @Test(arguments: [Attention.Bias.queryValue, .full, .none], ActivationCheckpointing.allCases)
  func someRowsMatchTheWhole(bias: Attention.Bias, checkpointing: ActivationCheckpointing) {
    let attention = Attention(
      24, heads: 3, bias: bias, in: ParameterScope(seed: 4), initializer: .normal(0.3))
    for parameter in attention.parameters where parameter.shape.count == 1 {
      parameter.set(randomTensor(parameter.shape, seed: 9))
    }
    let inputs = [randomTensor([3, 7, 24], seed: 1), randomTensor([3, 7, 7], seed: 2)]
    let rows = [0, 3, 6, 15, 20]
    let dy = randomTensor([rows.count, 24], seed: 3)
    func run(_ function: ([Tensor]) -> Tensor) -> [Tensor?] {
      for parameter in attention.parameters { parameter.enableGradient() }
      let (y, gradients) = differentiate(
        inputs, dy: dy, activationCheckpointing: checkpointing, function)
      return [y] + gradients + attention.parameters.map(\.gradient)
    }
    let whole = run { gatherRows(attention($0[0], bias: $0[1]), rows) }
    let part = run { attention($0[0], rows: rows, bias: $0[1]) }
    for (found, expected) in zip(part, whole) {
      #expect(expected.map { relativeError(found, $0) <= 1e-5 } == true)
    }
  }

  /// The mask token's and the class token's queries, keys and values computed once: as if for every token.
  @Test func repeatedTokensMatchTheWhole() throws {
    let scope = ParameterScope(seed: 4)
    let assembly = TokenAssembly(
      patches: 6, width: 24, maskToken: true, positions: false, in: scope, initializer: .normal(1))
    let norm = LayerNorm(24, in: scope / "norm")
    let attention = Attention(24, heads: 3, in: scope / "attn", initializer: .normal(0.3))
    let parameters = [assembly.classToken] + [assembly.maskToken].compactMap { $0 } + norm.parameters
    let visible = assembly.visible(masked: [1, 2, 7, 8, 11], samples: 2)
    let repetition = try #require(assembly.repetition(visible: visible, samples: 2))
    #expect(repetition.distinct == [0, 1, 2, 4, 5, 6, 8, 11, 12])
    #expect(assembly.repetition(visible: nil, samples: 2) == nil)
    let inputs = [randomTensor([visible.count, 24], seed: 1), randomTensor([3, 7, 7], seed: 2)]
    let dy = randomTensor([2, 7, 24], seed: 3)
    func run(_ repetition: RowRepetition?) -> [Tensor?] {
      let all = parameters + attention.parameters
      for parameter in all { parameter.enableGradient() }
      let (y, gradients) = differentiate(inputs, dy: dy) {
        let tokens = assembly($0[0], visible: visible, samples: 2)
        return attention.projection(
          attention.heads(tokens, normalizedBy: norm, repetition: repetition, bias: $0[1]))
      }
      return [y] + gradients + all.map(\.gradient)
    }
    for (found, expected) in zip(run(repetition), run(nil)) {
      #expect(expected.map { relativeError(found, $0) <= 1e-5 } == true)
    }
  }

  @Test func repeatsToTheBit() {
    let inputs = [randomTensor([8, 33, 3 * 32], seed: 1), randomTensor([2, 33, 33], seed: 2)]
    let dy = randomTensor([8, 33, 32], seed: 3)
    let runs = (0..<3).map { _ in
      differentiate(inputs, dy: dy) { scaledDotProductAttention($0[0], heads: 2, bias: $0[1]) }
        .gradients.map { $0?.elements }
    }
    #expect(runs[0] == runs[1] && runs[1] == runs[2])
  }

  @Test func matchesFiniteDifferences() {
    let inputs = [randomTensor([2, 20, 3 * 16], seed: 1), randomTensor([2, 20, 20], seed: 2)]
    #expect(gradientError(of: inputs) { scaledDotProductAttention($0[0], heads: 2, bias: $0[1]) } < 1e-2)
  }

  @Test func relativePositionsMatchBEiT() throws {
    let fixture = fixtures["relative_position_bias"]
    let positions = RelativePositionBias(gridHeight: 3, gridWidth: 4, heads: 3, in: ParameterScope(seed: 0))
    #expect(positions.index.map { Int($0) } == (try fixture.integers("index")))
    positions.table.set(try fixture.tensor("table"))
    let (y, _) = differentiate([Tensor([1])], dy: try fixture.tensor("dy")) { positions(alongside: $0[0]) }
    #expect(relativeError(y, try fixture.tensor("y")) == 0)
    #expect(relativeError(positions.table.gradient, try fixture.tensor("dtable")) <= 1e-5)
  }

  @Test func relativePositionsWithoutClassToken() {
    let positions = RelativePositionBias(
      gridHeight: 2, gridWidth: 2, heads: 1, classToken: false, in: ParameterScope(seed: 0))
    #expect(positions.table.shape == [9, 1])
    #expect(positions.index == [4, 3, 1, 0, 5, 4, 2, 1, 7, 6, 4, 3, 8, 7, 5, 4])
  }
}
