import Terminal
import Testing
import Trainer

@Suite struct ComputeThreadsTests {
  private func number(
    requested: Int? = nil, environment: [String: String] = [:], available: Int = 16, ranksOnNode: Int = 1
  ) throws -> Int {
    try ComputeThreads.number(
      requested: requested, environment: environment, available: available, online: 16,
      ranksOnNode: ranksOnNode)
  }

  @Test func theConfigurationComesFirstThenTheEnvironment() throws {
    let environment = ["PECO_THREADS": "3", "OMP_NUM_THREADS": "5"]
    #expect(try number(requested: 2, environment: environment) == 2)
    #expect(try number(environment: environment) == 3)
    #expect(try number(environment: ["OMP_NUM_THREADS": "5"]) == 5)
    // What is ours must make sense; the other is for other programs too.
    for wrong in ["many", "0", "-1", "99999999"] {
      let error = #expect(throws: RunError.self) { try number(environment: ["PECO_THREADS": wrong]) }
      #expect("\(try #require(error))".contains("PECO_THREADS is '\(wrong)'"))
      #expect(try number(environment: ["OMP_NUM_THREADS": wrong]) == 16)
    }
  }

  @Test func ranksShareANodeUnlessTheyAreBoundApart() throws {
    #expect(try number(ranksOnNode: 4) == 4)
    #expect(try number(available: 4, ranksOnNode: 4) == 4)
    #expect(try number(ranksOnNode: 40) == 1)
  }
}
