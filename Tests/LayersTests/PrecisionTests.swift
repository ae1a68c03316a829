import Foundation
import ImageOperations
import Layers
import Operations
import Tensors
import TestSupport
import Testing

/// Operations with products of bfloat16 are no further from the truth than PyTorch's autocast is on the same inputs.
@Suite struct PrecisionTests {
  /// Runs an operation on a group of the fixture, and compares its errors with autocast's.
  ///
  /// - Parameters:
  ///   - inputs: The tensors among the group's inputs; those that are narrow in a network are named in `narrow`.
  ///   - parameters: The parameters among them.
  private func expectAsNear(
    _ group: String, inputs: [String], narrow: Set<String> = [], parameters: [String] = [],
    checkpointing: ActivationCheckpointing = .none,
    _ operation: @escaping ([String: Tensor], [String: Parameter]) -> Tensor
  ) throws {
    try withPrecision(.bfloat16) {
      let fixture = try FixtureFile("precision.h5", of: "OperationsTests")[group]
      let tape = Tape(activationCheckpointing: checkpointing)
      var leaves: [String: Tensor] = [:]
      for name in inputs {
        let value = try fixture.tensor(name)
        leaves[name] = tape.leaf(narrow.contains(name) ? value.converted(to: .bfloat16) : value)
      }
      let scope = ParameterScope(seed: 0)
      var weights: [String: Parameter] = [:]
      for name in parameters {
        let value = try fixture.tensor(name)
        weights[name] = scope.parameter(name, value.shape, .values(value.elements), role: .weight)
        weights[name]?.enableGradient()
      }
      let y = operation(leaves, weights)
      tape.backward(from: innerProduct(y, try fixture.tensor("dy")))
      var results: [(name: String, value: Tensor?)] = [("y", y)]
      results += leaves.map { ("d" + $0.key, $0.value.gradient) }
      results += weights.map { ("d" + $0.key, $0.value.gradient) }
      for (name, value) in results {
        let found = error(try #require(value, "\(name)").elements, try fixture.tensor(name).elements)
        let allowed = 1.2 * Double(try fixture["autocast"].tensor(name).item) + 1e-6
        #expect(found <= allowed, "\(group), \(name)")
      }
    }
  }

  /// The length of the error over the length of what is expected.
  private func error(_ found: [Float], _ expected: [Float]) -> Double {
    guard found.count == expected.count else { return .infinity }
    let squares = zip(found, expected).reduce((0.0, 0.0)) {
      let difference = Double($1.0) - Double($1.1)
      return ($0.0 + difference * difference, $0.1 + Double($1.1) * Double($1.1))
    }
    return (squares.0 / squares.1).squareRoot()
  }

  @Test(arguments: [false, true]) func linearMaps(isNarrow: Bool) throws {
    for (group, narrow) in [("linear", []), ("linear_of_narrow", ["x"])] as [(String, Set<String>)] {
      try expectAsNear(group, inputs: ["x"], narrow: narrow, parameters: ["weight", "bias"]) {
        linear($0["x"]!, $1["weight"]!, biases: [BiasSlice($1["bias"]!)], isNarrow: isNarrow)
      }
    }
  }

  @Test func linearMapsOfNormalizedRows() throws {
    try expectAsNear(
      "normalized_linear", inputs: ["x"], parameters: ["norm_weight", "norm_bias", "weight", "bias"]
    ) {
      let norm = LayerNormParameters(weight: $1["norm_weight"]!, bias: $1["norm_bias"]!, epsilon: 1e-6)
      return linear(
        $0["x"]!, normalizedBy: norm, $1["weight"]!, biases: [BiasSlice($1["bias"]!)], isNarrow: true)
    }
  }

  @Test(arguments: ActivationCheckpointing.allCases) func attention(checkpointing: ActivationCheckpointing)
    throws
  {
    try expectAsNear("attention", inputs: ["qkv", "bias"], narrow: ["qkv"], checkpointing: checkpointing) {
      inputs, _ in scaledDotProductAttention(inputs["qkv"]!, heads: 2, bias: inputs["bias"])
    }
    let rows = [0, 3, 17, 34, 70, 71, 104]
    try expectAsNear(
      "attention_of_rows", inputs: ["query", "key_value", "bias"], narrow: ["query", "key_value"],
      checkpointing: checkpointing
    ) { inputs, _ in
      scaledDotProductAttention(
        inputs["query"]!, rows: rows, keyValue: inputs["key_value"]!, heads: 2, bias: inputs["bias"])
    }
  }

  @Test func endsOfBranches() throws {
    try expectAsNear(
      "residual", inputs: ["x", "h"], narrow: ["h"], parameters: ["weight", "bias", "gamma"]
    ) {
      residual($0["x"]!, $0["h"]!, weight: $1["weight"]!, bias: $1["bias"], gamma: $1["gamma"])
    }
    try expectAsNear(
      "mlp", inputs: ["x", "h"], narrow: ["h"], parameters: ["activation", "weight", "bias", "gamma"]
    ) {
      residual(
        $0["x"]!, $0["h"]!, weight: $1["weight"]!, bias: $1["bias"], activation: $1["activation"],
        gamma: $1["gamma"])
    }
  }

  @Test func patches() throws {
    try expectAsNear("patch_embedding", inputs: ["images"], parameters: ["weight", "bias"]) {
      linear(unfoldPatches($0["images"]!, patchSize: 4), $1["weight"]!, biases: [BiasSlice($1["bias"]!)])
    }
  }

  @Test(arguments: [false, true]) func convolutions(isNarrow: Bool) throws {
    let parameters = ["weight", "bias"]
    try expectAsNear("convolution", inputs: ["x"], narrow: ["x"], parameters: parameters) {
      convolution2d($0["x"]!, weight: $1["weight"]!, bias: $1["bias"], padding: 1, isNarrow: isNarrow)
    }
    if prefersChannelBlocks([16, 32]) {
      try expectAsNear("convolution", inputs: ["x"], narrow: ["x"], parameters: parameters) {
        channelsLast(
          convolution2d(
            channelBlocked($0["x"]!), weight: $1["weight"]!, bias: $1["bias"], padding: 1, isNarrow: isNarrow)
        )
      }
    }
    try expectAsNear("convolution_of_wide", inputs: ["x"], parameters: parameters) {
      convolution2d(
        $0["x"]!, weight: $1["weight"]!, bias: $1["bias"], stride: 2, padding: 1, isNarrow: isNarrow)
    }
    try expectAsNear("convolution_1x1", inputs: ["x"], narrow: ["x"], parameters: parameters) {
      convolution2d($0["x"]!, weight: $1["weight"]!, bias: $1["bias"], isNarrow: isNarrow)
    }
    try expectAsNear("convolution_transposed", inputs: ["x"], parameters: parameters) {
      convolutionTranspose2d($0["x"]!, weight: $1["weight"]!, bias: $1["bias"], stride: 2, padding: 1)
    }
  }

  @Test func imagesBetweenConvolutions() throws {
    try expectAsNear("group_norm_silu", inputs: ["x"], narrow: ["x"], parameters: ["weight", "bias"]) {
      groupNorm($0["x"]!, groups: 4, weight: $1["weight"]!, bias: $1["bias"]!, epsilon: 1e-6, silu: true)
    }
    try expectAsNear("upsample", inputs: ["x"], narrow: ["x"]) { inputs, _ in
      upsampleNearest(inputs["x"]!)
    }
    try withPrecision(.bfloat16) {
      let (x, y) = (randomTensor([3, 5], seed: 1), randomTensor([3, 5], seed: 2))
      let (a, b) = (x.converted(to: .bfloat16), y.converted(to: .bfloat16))
      #expect(add(a, y).dtype == .float32 && add(a, b).dtype == .bfloat16)
      let exact = zip(a.elements, b.elements).map { $0 + $1 }
      #expect(add(a, b).elements == Tensor(exact, shape: [15]).converted(to: .bfloat16).elements)
    }
  }

  /// Of norms before whose input nothing is trained.
  @Test(arguments: DType.allCases) func normsLearnWhereTheirInputWantsNothing(precision: DType) throws {
    try withPrecision(precision) {
      let scope = ParameterScope(seed: 1)
      let (norm, groups) = (LayerNorm(8, in: scope / "n"), GroupNorm(groups: 2, channels: 8, in: scope / "g"))
      let weight = Linear(8, 4, in: scope / "l")
      for parameter in scope.parameters { parameter.enableGradient() }
      func gradient(_ parameter: Parameter, _ body: (Tensor) -> Tensor) throws -> Bool {
        let tape = Tape()
        let y = body(tape.constant(randomTensor([2, 3, 3, 8], seed: 2)))
        tape.backward(from: innerProduct(y, randomTensor(y.shape, seed: 3)))
        return try #require(parameter.gradient).elements.contains { $0 != 0 }
      }
      let ofGroups = try gradient(groups.weight) { groups($0) }
      let beforeProduct = try gradient(norm.weight) { weight.product($0, normalizedBy: norm) }
      norm.weight.enableGradient()
      let alone = try gradient(norm.weight) { norm($0) }
      #expect(ofGroups && beforeProduct && alone)
    }
  }

  /// What stochastic depth leaves of a batch, and tokens of which some are the same.
  @Test func partsOfABatchAreThoseOfTheWhole() throws {
    try withPrecision(.bfloat16) {
      let scope = ParameterScope(seed: 3)
      let (attention, norm) = (Attention(32, heads: 2, in: scope / "a"), LayerNorm(32, in: scope / "n"))
      let x = randomTensor([4, 9, 32], seed: 1)
      let kept = [0, 2, 3]
      let whole = attention.heads(x, normalizedBy: norm)
      let some = attention.heads(x, normalizedBy: norm, samples: kept)
      #expect(whole.dtype == .bfloat16 && some.shape == [3, 9, 32])
      for (place, sample) in kept.enumerated() {
        #expect(some[row: place].elements == whole[row: sample].elements)
      }
      let kinds = (0..<36).map { $0 % 7 }
      let repetition = RowRepetition(kinds)
      let repeated = repeatRows(gatherRows(x, repetition.distinct), repetition, shape: [4, 9])
      let computedOnce = attention.heads(repeated, normalizedBy: norm, repetition: repetition)
      #expect(computedOnce.elements == attention.heads(repeated, normalizedBy: norm).elements)
    }
  }
}
