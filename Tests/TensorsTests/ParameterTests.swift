import Tensors
import TestSupport
import Testing

@Suite struct ParameterTests {
  @Test func namesArePaths() {
    let scope = ParameterScope(seed: 0)
    _ = (scope / "blocks" / 3 / "attn").parameter("q_bias", [4], .zeros)
    _ = scope.parameter("cls_token", [1, 1, 4], .ones, decayed: false)
    _ = scope.state("average", [2, 2], .zeros)
    #expect(scope.parameters.map(\.name) == ["blocks.3.attn.q_bias", "cls_token", "average"])
    #expect(scope.parameters.map(\.isDecayed) == [false, false, false])
    #expect(scope.parameters.map(\.kind) == [.trained, .trained, .state])
    #expect(scope.parameter("weight", [2, 2], .ones).isDecayed)
  }

  @Test func valuesDependOnSeedAndNameAlone() {
    func values(_ seed: UInt64, _ names: [String]) -> [String: [Float]] {
      let scope = ParameterScope(seed: seed)
      for name in names { _ = scope.parameter(name, [16], .normal(1)) }
      return Dictionary(uniqueKeysWithValues: scope.parameters.map { ($0.name, $0.value.elements) })
    }
    let (first, second) = (values(1, ["a", "b"]), values(1, ["b", "c", "a"]))
    #expect(first["a"] == second["a"] && first["b"] == second["b"])
    #expect(first["a"] != first["b"])
    #expect(values(2, ["a"])["a"] != first["a"])
  }

  @Test func initializersFill() {
    let scope = ParameterScope(seed: 4)
    #expect(scope.parameter("zeros", [3], .zeros).value.elements == [0, 0, 0])
    #expect(scope.parameter("ones", [3], .ones).value.elements == [1, 1, 1])
    #expect(scope.parameter("constant", [2], .constant(0.1)).value.elements == [0.1, 0.1])
    let uniform = scope.parameter("uniform", [1000], .uniform(0.5)).value.elements
    #expect(
      uniform.allSatisfy { abs($0) <= 0.5 } && uniform.contains { $0 > 0.45 }
        && uniform.contains { $0 < -0.45 })
    let cut = scope.parameter("cut", [1000], .truncatedNormal(0.02, bound: 2)).value.elements
    #expect(cut.allSatisfy { abs($0) <= 0.04 } && cut.contains { abs($0) > 0.03 })
  }

  @Test func theFlatLayoutIsThatOfBackward() {
    let scope = ParameterScope(seed: 0)
    let first = scope.parameter("first", [3, 7], .normal(1))
    let state = scope.state("state", [5], .ones)
    let second = scope.parameter("second", [16], .normal(1))
    let third = scope.parameter("third", [1], .constant(9))
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
