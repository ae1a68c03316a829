import Configuration
import Storage
import Tensors
import TestSupport
import Testing
import Trainer

@Suite struct OptimizerTests {
  @Test(
    arguments: [
      ("adamw", OptimizerConfiguration.Name.adamw, [0.9, 0.999], 0.05, nil),
      ("adamw_clipped", .adamw, [0.9, 0.98], 0.3, 3.0),
      ("adam", .adam, [0.5, 0.95], 0, nil),
      ("adam_decayed", .adam, [0.9, 0.999], 0.1, 0.5),
    ] as [(String, OptimizerConfiguration.Name, [Double], Double, Double?)])
  func agreesWithPyTorch(
    _ name: String, _ rule: OptimizerConfiguration.Name, _ betas: [Double], _ decay: Double,
    _ limit: Double?
  ) throws {
    let file = try fixture("training.h5")
    func read(_ key: String) throws -> [Float] { try file.read("\(name)/\(key)") }
    let weight = Parameter(
      name: "weight", kind: .trained, role: .weight,
      value: Tensor(try read("weight_start"), shape: [7, 5]))
    let bias = Parameter(
      name: "bias", kind: .trained, role: .bias, value: Tensor(try read("bias_start"), shape: [5]))
    let flat = FlatParameters([weight, bias])
    var configuration = OptimizerConfiguration()
    configuration.name = rule
    configuration.betas = betas
    let optimizer = Optimizer(flat, configuration: configuration)

    func expectClose(_ found: ArraySlice<Float>, _ expected: ArraySlice<Float>, _ what: String) {
      for (a, b) in zip(found, expected) {
        #expect(abs(a - b) <= 2e-6 * max(0.1, abs(b)), "\(what): \(a), expected \(b)")
      }
    }
    let (rates, norms) = (try read("rate"), try read("norm"))
    let (weights, biases) = (try read("weight"), try read("bias"))
    let (weightGradients, biasGradients) = (try read("weight_gradient"), try read("bias_gradient"))
    for step in 0..<rates.count {
      let (w, b) = (step * 35..<(step + 1) * 35, step * 5..<(step + 1) * 5)
      weight.gradient?.copyElements(from: Tensor(Array(weightGradients[w]), shape: [7, 5]))
      bias.gradient?.copyElements(from: Tensor(Array(biasGradients[b]), shape: [5]))
      let norm = GradientNorm.norm(of: flat)
      #expect(abs(norm - Double(norms[step])) <= 1e-6 * norm)
      optimizer.update(
        learningRate: 0.01 * Double(step + 1), weightDecay: decay,
        gradientScale: GradientNorm.clipFactor(norm: norm, limit: limit))
      expectClose(weight.value.elements[...], weights[w], "weight, step \(step)")
      expectClose(bias.value.elements[...], biases[b], "bias, step \(step)")
      #expect(flat.gradients.elements.allSatisfy { $0 == 0 })
    }
    let place = flat.ranges[weight.index]
    expectClose(optimizer.firstMoment.elements[place], try read("first_moment")[...], "first moment")
    expectClose(optimizer.secondMoment.elements[place], try read("second_moment")[...], "second moment")
    #expect(optimizer.updates == rates.count)
  }

  /// Values and norm after a few steps over a buffer of several blocks.
  private func run(threads: Int) throws -> (values: [Float], norm: Double) {
    let context = try ExecutionContext(threads: threads)
    return try ExecutionContext.$current.withValue(context) { try run() }
  }

  private func run() throws -> (values: [Float], norm: Double) {
    let scope = ParameterScope(seed: 3)
    for i in 0..<5 {
      _ = scope.parameter("\(i).weight", [300, 301], .normal(1), role: .weight)
      _ = scope.parameter("\(i).bias", [301], .normal(1), role: .bias)
    }
    let flat = FlatParameters(scope.parameters)
    let optimizer = Optimizer(flat, configuration: OptimizerConfiguration())
    for _ in 0..<2 {
      flat.gradients.copyElements(from: flat.values)
      optimizer.update(learningRate: 0.1, weightDecay: 0.1, gradientScale: 0.5, zeroGradients: false)
    }
    #expect(flat.gradients.elements.contains { $0 != 0 })
    return (flat.values.elements, GradientNorm.norm(of: flat))
  }

  @Test func doesNotDependOnThreads() throws {
    let (one, three) = (try run(threads: 1), try run(threads: 3))
    #expect(one.values == three.values)
    #expect(one.norm == three.norm)
  }

  @Test func learningRateScalePerParameter() {
    let scope = ParameterScope(seed: 3)
    let still = scope.parameter("still", [4], .normal(1), role: .weight)
    let moving = scope.parameter("moving", [4], .normal(1), role: .weight)
    let (before, beside) = (still.value.elements, moving.value.elements)
    let flat = FlatParameters(scope.parameters)
    let optimizer = Optimizer(flat, configuration: OptimizerConfiguration()) { $0 === still ? 0 : 1 }
    flat.gradients.fill(1)
    optimizer.update(learningRate: 0.1, weightDecay: 0)
    #expect(still.value.elements == before)
    for (a, b) in zip(moving.value.elements, beside) { #expect(abs(a - b + 0.1) < 1e-6) }
  }

  @Test func normTellsOfNonFiniteGradients() {
    for bad in [Float.nan, .infinity] {
      let tensor = Tensor([200_000], filledWith: 1)
      tensor[150_000] = bad
      #expect(!GradientNorm.norm(of: tensor).isFinite)
    }
    #expect(GradientNorm.norm(of: Tensor([200_000], filledWith: 2)) == (800_000.0).squareRoot())
    #expect(GradientNorm.clipFactor(norm: 1, limit: 3) == 1)
    #expect(GradientNorm.clipFactor(norm: 6, limit: nil) == 1)
    #expect(GradientNorm.clipFactor(norm: 6, limit: 3) == 3 / (6 + 1e-6))
  }
}
