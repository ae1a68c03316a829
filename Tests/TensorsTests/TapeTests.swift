import Tensors
import TestSupport
import Testing

/// x · factor as an operation of its own.
private func scaled(_ x: Tensor, by factor: Float) -> Tensor {
  func apply(_ x: Tensor) -> Tensor { Tensor(x.elements.map { $0 * factor }, shape: x.shape) }
  return Tape.record(apply(x), from: [x]) { dy in x.addGradient(apply(dy)) }
}

/// x + y; both gradients are the same tensor.
private func sum(_ x: Tensor, _ y: Tensor) -> Tensor {
  Tape.record(Tensor(zip(x.elements, y.elements).map { $0 + $1 }, shape: x.shape), from: [x, y]) { dy in
    x.addGradient(dy)
    y.addGradient(dy)
  }
}

/// x ∘ p
private func times(_ x: Tensor, _ p: Parameter) -> Tensor {
  func product(_ x: Tensor, _ y: Tensor) -> Tensor {
    Tensor(zip(x.elements, y.elements).map { $0 * $1 }, shape: x.shape)
  }
  return Tape.record(product(x, p.value), from: [x], parameters: [p]) { dy in
    if let gradient = p.gradient { gradient.copyElements(from: sum(gradient, product(x, dy))) }
    x.addGradient(product(dy, p.value))
  }
}

private func total(_ x: Tensor) -> Tensor { innerProduct(x, Tensor(x.shape, filledWith: 1)) }

@Suite struct TapeTests {
  private let scope = ParameterScope(seed: 0)

  private func parameter(_ name: String, _ values: [Float]) -> Parameter {
    let parameter = scope.parameter(name, [values.count], .zeros, role: .weight)
    parameter.set(Tensor(values, shape: [values.count]))
    return parameter
  }

  @Test func gradientsOfSeveralUsesAdd() {
    let tape = Tape()
    let x = tape.leaf(Tensor([1, 2], shape: [2]))
    tape.backward(from: total(sum(scaled(x, by: 3), sum(x, scaled(x, by: 4)))))
    #expect(x.gradient?.elements == [8, 8])
  }

  /// One tensor handed to two slots must not be written over when a third term comes to one of them.
  @Test func sharedGradientsAreNotOverwritten() {
    let tape = Tape()
    let (x, y) = (tape.leaf(Tensor([2], filledWith: 1)), tape.leaf(Tensor([2], filledWith: 1)))
    let first = scaled(x, by: 10)
    let second = sum(x, y)
    tape.backward(from: total(sum(first, second)))
    #expect(x.gradient?.elements == [11, 11])
    #expect(y.gradient?.elements == [1, 1])
  }

  @Test func outputsNobodyUsedSendNothing() {
    let p = parameter("p", [5, 5])
    let unused = parameter("unused", [7, 7])
    let tape = Tape()
    let x = tape.leaf(Tensor([1, 2], shape: [2]))
    let y = times(x, p)
    _ = times(x, unused)
    var ready: [String] = []
    tape.backward(from: total(y)) { ready.append($0.name) }
    #expect(x.gradient?.elements == [5, 5])
    #expect(unused.gradient?.elements == [0, 0])
    // It is ready all the same: nothing more will come.
    #expect(ready == ["unused", "p"])
  }

  @Test func parametersAreReadyInReverseOrder() {
    let (a, b, c) = (parameter("a", [2]), parameter("b", [3]), parameter("c", [5]))
    let tape = Tape()
    let x = tape.constant(Tensor([1], shape: [1]))
    var ready: [String] = []
    tape.backward(from: times(times(times(x, a), b), c)) { ready.append($0.name) }
    #expect(ready == ["c", "b", "a"])
    #expect([a, b, c].map { $0.gradient?.item } == [15, 10, 6])
  }

  @Test func aParameterUsedTwiceIsReadyOnce() {
    let (a, b) = (parameter("a", [2]), parameter("b", [3]))
    let tape = Tape()
    let x = tape.constant(Tensor([1], shape: [1]))
    var ready: [(String, Float?)] = []
    tape.backward(from: times(times(times(x, a), b), a)) { ready.append(($0.name, $0.gradient?.item)) }
    #expect(ready.map(\.0) == ["b", "a"])
    #expect(ready.last?.1 == 12)  // d(a² b)/da
  }

  @Test func reshapingPassesGradients() {
    let tape = Tape()
    let x = tape.leaf(Tensor([1, 2, 3, 4], shape: [4]))
    let y = sum(scaled(x, by: 2).reshaped([2, 2]), x.reshaped([2, 2]))
    tape.backward(from: total(y))
    #expect(x.gradient?.elements == [3, 3, 3, 3])
  }

  @Test func theScaleMultipliesEverything() {
    let p = parameter("p", [2])
    let tape = Tape()
    tape.backward(from: times(tape.constant(Tensor([3], shape: [1])), p), scale: 0.25)
    #expect(p.gradient?.elements == [0.75])
  }

  @Test func constantsAndFrozenParametersAreLeftAlone() {
    let frozen = ParameterScope(seed: 0, frozen: true).parameter("frozen", [1], .constant(4), role: .weight)
    frozen.enableGradient()
    #expect(frozen.gradient == nil && frozen.kind == .frozen)
    let tape = Tape()
    let x = tape.constant(Tensor([3], shape: [1]))
    let y = times(x, frozen)
    #expect(!x.needsGradient && !y.needsGradient)
    let z = tape.leaf(y)
    tape.backward(from: times(z, frozen))
    #expect(z.gradient?.elements == [4])
  }

  @Test func withoutATapeNothingIsRecorded() {
    let y = scaled(Tensor([1, 2], shape: [2]), by: 2)
    #expect(y.tape == nil && !y.needsGradient && y.elements == [2, 4])
  }

  @Test func aDetachedTensorStopsGradients() {
    let tape = Tape()
    let x = tape.leaf(Tensor([1], shape: [1]))
    tape.backward(from: sum(x, scaled(x, by: 5).detached))
    #expect(x.gradient?.elements == [1])
  }

  /// Backward lets go of what forward kept, step after step.
  @Test func backwardFreesTheTape() {
    weak var kept: Tensor?
    do {
      let tape = Tape()
      let x = tape.leaf(Tensor([64], filledWith: 1))
      let y = scaled(x, by: 2)
      kept = y
      tape.backward(from: total(scaled(y, by: 3)))
    }
    #expect(kept == nil)
  }
}
