import Configuration
import Foundation
import Storage
import Tensors
import TestSupport
import Trainer

/// A file of the tests' own folder.
func fixture(_ name: String) throws -> HDF5File {
  let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  return try HDF5File(opening: folder.appendingPathComponent("Fixtures/\(name)").path)
}

/// A small model: a matrix, a vector and a state.
struct SmallModel {
  let parameters: [Parameter]
  let flat: FlatParameters
  let optimizer: Optimizer

  init(seed: UInt64 = 1, rows: Int = 5, extraLayer: Bool = false) {
    let scope = ParameterScope(seed: seed)
    _ = scope.parameter("blocks.0.weight", [rows, 3], .normal(1), role: .weight)
    _ = scope.parameter("blocks.0.bias", [3], .normal(1), role: .bias)
    _ = scope.state("codebook.uses", [4], .uniform(1))
    if extraLayer { _ = scope.parameter("head.weight", [2, 2], .normal(1), role: .weight) }
    parameters = scope.parameters
    flat = FlatParameters(parameters)
    optimizer = Optimizer(flat, configuration: OptimizerConfiguration())
  }

  /// A few steps with gradients that depend on the step alone.
  func train(steps: Range<Int>) {
    for step in steps {
      var stream = RandomStream(seed: 7, purpose: .test, time: step)
      for parameter in flat.parameters {
        guard let gradient = parameter.gradient else { continue }
        gradient.withUnsafeMutableElements { for i in $0.indices { $0[i] = stream.normal() } }
      }
      optimizer.update(learningRate: 0.01, weightDecay: 0.1)
      for parameter in parameters where parameter.kind == .state { parameter.value[0] += 1 }
    }
  }

  var values: [[Float]] {
    parameters.map(\.value.elements) + [optimizer.firstMoment.elements, optimizer.secondMoment.elements]
  }
}
