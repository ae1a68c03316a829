import Communication
import Testing

@Suite("Gradient reducer of one rank")
struct GradientReducerTests {
  @Test("leaves gradients as they are, at no cost")
  func alone() throws {
    var gradients: [Float] = [1, 2, 3, 4]
    try gradients.withUnsafeMutableBufferPointer { buffer in
      let base = try #require(buffer.baseAddress)
      let reducer = try GradientReducer(
        communicator: Communicator(), gradients: base, count: 4, parameters: [0..<2, 2..<4])
      for _ in 0..<3 {
        reducer.begin()
        reducer.ready(1)
        let timing = try reducer.finish()
        #expect(timing.communicationSeconds == 0 && timing.exposedSeconds == 0)
      }
      reducer.close()
      reducer.close()
    }
    #expect(gradients == [1, 2, 3, 4])
  }
}
