import Foundation
import Storage
import Tensors
import TestSupport
import Testing
import Trainer

@Suite struct CheckpointTests {
  private func header(step: Int, updates: Int = 3) -> CheckpointHeader {
    CheckpointHeader(
      task: "classification", step: step, epoch: 2, samplePosition: 640, updates: updates, seed: .max - 1,
      configuration: "seed: 1\nname: \"ü\"\n",
      inputs: [
        "data": .init(checksum: .max - 2, path: "images ü.h5"), "perceptual": .init(checksum: 1),
      ])
  }

  /// Flips one byte in the middle of the stored values of a dataset.
  private func damage(_ path: String, finding values: [Float]) throws {
    var data = try Data(contentsOf: URL(fileURLWithPath: path))
    let needle = values.withUnsafeBytes { Data($0) }
    let place = try #require(data.range(of: needle))
    data[place.lowerBound + needle.count / 2] ^= 0x10
    try data.write(to: URL(fileURLWithPath: path))
  }

  @Test func resumesExactly() throws {
    try withTemporaryFolder { folder in
      let straight = SmallModel()
      straight.train(steps: 0..<8)

      let first = SmallModel()
      first.train(steps: 0..<3)
      let path = folder + "/a.h5"
      try Checkpoint.write(
        header(step: 3), parameters: first.parameters, optimizer: first.optimizer, to: path)

      let second = SmallModel(seed: 99)
      #expect(second.values != first.values)
      let read = try Checkpoint.load(
        path, into: second.parameters, optimizer: second.optimizer, task: "classification")
      #expect(read == header(step: 3))
      #expect(second.values == first.values)
      second.train(steps: 3..<8)
      #expect(second.values == straight.values)
    }
  }

  @Test func frozenModelsTakeTrainedWeights() throws {
    try withTemporaryFolder { folder in
      let trained = SmallModel()
      let path = folder + "/a.h5"
      try Checkpoint.write(header(step: 3), parameters: trained.parameters, optimizer: nil, to: path)
      let scope = ParameterScope(seed: 5, frozen: true)
      let weight = scope.parameter("blocks.0.weight", [5, 3], .zeros, role: .weight)
      _ = scope.parameter("blocks.0.bias", [3], .zeros, role: .bias)
      _ = scope.state("codebook.uses", [4], .zeros)
      try Checkpoint.load(path, into: scope.parameters, includingFrozen: true)
      #expect(weight.value.elements == trained.parameters[0].value.elements)
    }
  }

  @Test(arguments: [Float.nan, -.infinity]) func refusesValuesThatAreNotFinite(_ value: Float) throws {
    try withTemporaryFolder { folder in
      let model = SmallModel()
      var values = model.parameters[0].value.elements
      values[3] = value
      model.parameters[0].value.copyElements(from: values)
      let path = folder + "/a.h5"
      try Checkpoint.write(header(step: 3), parameters: model.parameters, optimizer: nil, to: path)
      let error = try #require(
        #expect(throws: CheckpointError.self) { try Checkpoint.load(path, into: SmallModel().parameters) })
      #expect("\(error)".contains("model/blocks.0.weight") && "\(error)".contains("element 3"), "\(error)")
    }
  }

  @Test func refusesAnotherArchitecture() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/a.h5"
      let model = SmallModel()
      try Checkpoint.write(
        header(step: 3), parameters: model.parameters, optimizer: model.optimizer, to: path)
      let other = SmallModel(seed: 2, rows: 6, extraLayer: true)
      let before = other.values
      let error = try #require(throws: CheckpointError.self) {
        try Checkpoint.load(path, into: other.parameters, optimizer: other.optimizer)
      }
      #expect(error.problem.contains("blocks.0.weight is [5, 3], the model expects [6, 3]"))
      #expect(error.problem.contains("head.weight [2, 2] is missing"))
      #expect(other.values == before)

      let wider = folder + "/b.h5"
      try Checkpoint.write(header(step: 3), parameters: other.parameters, optimizer: nil, to: wider)
      let unknown = try #require(throws: CheckpointError.self) {
        try Checkpoint.load(wider, into: SmallModel(rows: 6).parameters)
      }
      #expect(unknown.problem.contains("head.weight [2, 2] is unknown to the model"))
      let noMoments = try #require(throws: CheckpointError.self) {
        try Checkpoint.load(wider, into: other.parameters, optimizer: other.optimizer)
      }
      #expect(noMoments.problem.contains("without its optimizer's moments"))
      let wrongKind = try #require(throws: CheckpointError.self) {
        try Checkpoint.load(path, into: model.parameters, task: "vqvae")
      }
      #expect(wrongKind.problem == "is of task 'classification', expected 'vqvae'")
    }
  }

  @Test func refusesOtherFiles() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/other.h5"
      try HDF5File.atomicallyWrite(to: path, sealed: true) {
        try $0.write([1] as [Float], shape: [1], to: "x")
      }
      let error = try #require(throws: CheckpointError.self) { try Checkpoint.header(of: path) }
      #expect(error.problem.contains("not a checkpoint of peco"))

      var older = header(step: 1)
      older.format -= 1
      try Checkpoint.write(older, parameters: [], to: path)
      let format = try #require(throws: CheckpointError.self) { try Checkpoint.header(of: path) }
      #expect(format.description.contains("train or import it again"))

      try HDF5File.atomicallyWrite(to: path) { try $0.write([1] as [Float], shape: [1], to: "x") }
      let unsealed = try #require(throws: StorageError.self) { try Checkpoint.header(of: path) }
      #expect(unsealed.problem.contains("has no seal"))
    }
  }

  @Test func findsDamage() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/a.h5"
      let model = SmallModel()
      model.train(steps: 0..<2)
      let write = {
        try Checkpoint.write(
          header(step: 3), parameters: model.parameters, optimizer: model.optimizer, to: path)
      }
      try write()
      try Checkpoint.header(of: path)
      try damage(path, finding: model.parameters[0].value.elements)
      #expect(throws: (any Error).self) { try Checkpoint.header(of: path) }
      #expect(throws: (any Error).self) { try Checkpoint.load(path, into: model.parameters) }

      try write()
      let whole = try Data(contentsOf: URL(fileURLWithPath: path))
      try whole.prefix(whole.count - 100).write(to: URL(fileURLWithPath: path))
      #expect(throws: (any Error).self) { try Checkpoint.header(of: path) }
    }
  }
}

@Suite struct CheckpointStoreTests {
  private func save(_ model: SmallModel, _ store: CheckpointStore, step: Int) throws {
    let header = CheckpointHeader(
      task: "classification", step: step, epoch: 0, samplePosition: 0, updates: step, seed: 1,
      configuration: "")
    try store.save(
      header, units: [CheckpointUnit(parameters: model.parameters, optimizer: model.optimizer)])
  }

  @Test func keepsTheNewest() throws {
    try withTemporaryFolder { folder in
      let store = CheckpointStore(directory: folder + "/checkpoints", keep: 2)
      #expect(try store.list().isEmpty)
      #expect(try store.newestVerified().found == nil)
      try store.makeFolder()
      let model = SmallModel()
      for step in [5, 10, 15, 1_234_567_890] { try save(model, store, step: step) }
      #expect(try store.list().map(\.step) == [15, 1_234_567_890])
      #expect(store.path(step: 15).hasSuffix("/checkpoints/step-000000015.h5"))
      #expect(try store.newestVerified().found?.header.step == 1_234_567_890)
      // Taken up again from step 15: what is written next must stay, though it is not the newest by number.
      try save(model, store, step: 12)
      #expect(try store.list().map(\.step) == [12, 15, 1_234_567_890])
      try store.removeAll(after: 12)
      #expect(try store.list().map(\.step) == [12])
    }
  }

  @Test func fallsBackToTheNewestSoundOne() throws {
    try withTemporaryFolder { folder in
      let store = CheckpointStore(directory: folder, keep: 9)
      let model = SmallModel()
      for step in 1...3 { try save(model, store, step: step) }
      try Data("not HDF5".utf8).write(to: URL(fileURLWithPath: store.path(step: 3)))
      try Data().write(to: URL(fileURLWithPath: store.path(step: 4)))
      // A file of step 2 under the name of step 5.
      try FileManager.default.copyItem(atPath: store.path(step: 2), toPath: store.path(step: 5))
      let (found, passedOver) = try store.newestVerified()
      #expect(found?.path == store.path(step: 2))
      #expect(passedOver.map(\.path) == [5, 4, 3].map(store.path(step:)))
      #expect(passedOver.allSatisfy { $0.description.hasPrefix($0.path) && !$0.reason.isEmpty })
    }
  }

  @Test func cleansUpAfterDeadWritersAndIgnoresStrangers() throws {
    try withTemporaryFolder { folder in
      let store = CheckpointStore(directory: folder)
      let model = SmallModel()
      try save(model, store, step: 1)
      let partial = ".step-000000002.h5.partial-123"
      for name in [partial, "notes.txt", "step-2.h5", "step-000000002.h5.bak"] {
        try Data().write(to: URL(fileURLWithPath: folder + "/" + name))
      }
      #expect(try store.list().map(\.step) == [1])
      #expect(try store.removePartialFiles() == [partial])
      #expect(FileManager.default.fileExists(atPath: folder + "/notes.txt"))
    }
  }

  @Test func aFailedWriteLeavesTheLastGoodOne() throws {
    try withTemporaryFolder { folder in
      let store = CheckpointStore(directory: folder, keep: 1)
      let model = SmallModel()
      try save(model, store, step: 1)
      // A folder in the new checkpoint's place cannot be renamed over.
      try FileManager.default.createDirectory(
        atPath: store.path(step: 2) + "/occupied", withIntermediateDirectories: true)
      #expect(throws: (any Error).self) { try save(model, store, step: 2) }
      try FileManager.default.removeItem(atPath: store.path(step: 2))
      #expect(try store.newestVerified().found?.header.step == 1)
      #expect(try store.removePartialFiles().isEmpty)
    }
  }
}
