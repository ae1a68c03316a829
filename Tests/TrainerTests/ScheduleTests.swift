import Configuration
import Storage
import Testing
import Trainer

@Suite struct ScheduleTests {
  private func expect(_ schedule: Schedule, equals name: String) throws {
    let expected = try fixture("training.h5").read("schedule/\(name)", as: Double.self)
    #expect(expected.count == schedule.steps)
    for (step, value) in expected.enumerated() {
      #expect(abs(schedule(step) - value) <= 1e-12 * max(1, abs(value)), "step \(step)")
    }
  }

  @Test func cosineWithWarmupIsBEiTs() throws {
    try expect(
      Schedule(shape: .cosine, peak: 1.5e-3, end: 1e-5, warmupStart: 1e-6, warmupSteps: 10, steps: 100),
      equals: "with_warmup")
    try expect(Schedule(shape: .cosine, peak: 0.04, end: 0.4, steps: 30), equals: "without_warmup")
    try expect(
      Schedule(shape: .cosine, peak: 1, end: 0, warmupStart: 0.25, warmupSteps: 1, steps: 5),
      equals: "one_step_of_warmup")
  }

  @Test func constantAndLinear() {
    let constant = Schedule(shape: .constant, peak: 2, end: 0, warmupSteps: 3, steps: 10)
    #expect((0..<12).map { constant($0) } == [0, 1] + Array(repeating: 2, count: 10))
    let linear = Schedule(shape: .linear, peak: 1, end: 0, steps: 4)
    #expect((0..<6).map { linear($0) } == [1, 0.75, 0.5, 0.25, 0, 0])
  }

  @Test func warmupLongerThanTheRunOnlyRises() {
    let schedule = Schedule(shape: .cosine, peak: 10, end: 0, warmupSteps: 11, steps: 5)
    #expect((0..<5).map { schedule($0) } == [0, 1, 2, 3, 4])
  }

  @Test func spansAndScaling() {
    #expect(TrainingSpan.epochs(2.5).steps(perEpoch: 10) == 25)
    #expect(TrainingSpan.steps(3).steps(perEpoch: 10) == 3)
    var configuration = OptimizerConfiguration()
    configuration.learningRate = 0.1
    #expect(configuration.peakLearningRate(globalBatchSize: 64) == 0.1)
    configuration.scaleLearningRateByBatch = 256
    #expect(configuration.peakLearningRate(globalBatchSize: 64) == 0.025)
    configuration.warmup = .epochs(1)
    let schedule = configuration.learningRateSchedule(steps: 100, stepsPerEpoch: 5, globalBatchSize: 64)
    #expect(schedule.warmupSteps == 5 && schedule(4) == 0.025)
    #expect(configuration.weightDecaySchedule(steps: 9)(8) == configuration.weightDecay)
    configuration.weightDecayEnd = 0.4
    #expect(configuration.weightDecaySchedule(steps: 9)(9) == 0.4)
  }
}
