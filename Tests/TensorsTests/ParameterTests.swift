import Tensors
import TestSupport
import Testing

@Suite struct ParameterTests {
  @Test func namesArePaths() {
    let scope = ParameterScope(seed: 0)
    _ = (scope / "blocks" / 3 / "attn").parameter("q_bias", [4], .zeros, role: .bias)
    _ = scope.parameter("cls_token", [1, 1, 4], .ones, role: .token)
    _ = scope.state("average", [2, 2], .zeros)
    #expect(scope.parameters.map(\.name) == ["blocks.3.attn.q_bias", "cls_token", "average"])
    #expect(scope.parameters.map(\.role) == [.bias, .token, .statistic])
    #expect(scope.parameters.map(\.kind) == [.trained, .trained, .state])
  }

  @Test func depthsArePassedOn() {
    let scope = ParameterScope(seed: 0)
    let block = scope.at(depth: 3) / "blocks" / 2
    let inside = (block / "norm1").untrained.parameter("weight", [4], .ones, role: .norm)
    let outside = scope.parameter("logit_scale", [1], .ones, role: .weight)
    #expect(inside.depth == 3 && inside.name == "blocks.2.norm1.weight" && inside.kind == .state)
    #expect(outside.depth == nil && inside.held.depth == 3 && inside.held.role == .norm)
  }

  @Test func valuesDependOnSeedAndNameAlone() {
    func values(_ seed: UInt64, _ names: [String]) -> [String: [Float]] {
      let scope = ParameterScope(seed: seed)
      for name in names { _ = scope.parameter(name, [16], .normal(1), role: .weight) }
      return Dictionary(uniqueKeysWithValues: scope.parameters.map { ($0.name, $0.value.elements) })
    }
    let (first, second) = (values(1, ["a", "b"]), values(1, ["b", "c", "a"]))
    #expect(first["a"] == second["a"] && first["b"] == second["b"])
    #expect(first["a"] != first["b"])
    #expect(values(2, ["a"])["a"] != first["a"])
  }

  @Test func initializersFill() {
    let scope = ParameterScope(seed: 4)
    #expect(scope.parameter("zeros", [3], .zeros, role: .weight).value.elements == [0, 0, 0])
    #expect(scope.parameter("ones", [3], .ones, role: .weight).value.elements == [1, 1, 1])
    #expect(scope.parameter("constant", [2], .constant(0.1), role: .weight).value.elements == [0.1, 0.1])
    let uniform = scope.parameter("uniform", [1000], .uniform(0.5), role: .weight).value.elements
    #expect(
      uniform.allSatisfy { abs($0) <= 0.5 } && uniform.contains { $0 > 0.45 }
        && uniform.contains { $0 < -0.45 })
    let start = Initializer.truncatedNormal(0.02, bound: 2)
    let cut = scope.parameter("cut", [1000], start, role: .weight).value.elements
    #expect(cut.allSatisfy { abs($0) <= 0.04 } && cut.contains { abs($0) > 0.03 })
  }

  @Test func theFlatLayoutIsThatOfBackward() {
    let scope = ParameterScope(seed: 0)
    let first = scope.parameter("first", [3, 7], .normal(1), role: .weight)
    let state = scope.state("state", [5], .ones)
    let second = scope.parameter("second", [16], .normal(1), role: .weight)
    let third = scope.parameter("third", [1], .constant(9), role: .weight)
    let values = [first, second, third].map(\.value.elements)
    let flat = FlatParameters(scope.parameters)
    #expect(flat.parameters.map(\.name) == ["third", "second", "first"])
    #expect(flat.parameters.map(\.index) == [0, 1, 2])
    #expect(flat.ranges == [0..<1, 16..<32, 32..<53] && flat.count == 64)
    #expect([first, second, third].map(\.value.elements) == values)
    #expect(state.gradient == nil && state.value.elements == [1, 1, 1, 1, 1])

    second.gradient?.fill(2)
    flat.values.fill(5)
    #expect(flat.gradients.elements == (0..<64).map { (16..<32).contains($0) ? 2 : 0 })
    #expect(first.value.elements == [Float](repeating: 5, count: 21) && first.value.shape == [3, 7])
  }
}
