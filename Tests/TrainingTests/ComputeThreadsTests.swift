import Testing
import Training

@Suite struct ComputeThreadsTests {
  private func number(
    requested: Int? = nil, environment: [String: String] = [:], available: Int = 16, ranksOnNode: Int = 1
  ) -> Int {
    ComputeThreads.number(
      requested: requested, environment: environment, available: available, online: 16,
      ranksOnNode: ranksOnNode)
  }

  @Test func theConfigurationComesFirstThenTheEnvironment() {
    let environment = ["PECO_THREADS": "3", "OMP_NUM_THREADS": "5"]
    #expect(number(requested: 2, environment: environment) == 2)
    #expect(number(environment: environment) == 3)
    #expect(number(environment: ["OMP_NUM_THREADS": "5"]) == 5)
    #expect(number(environment: ["PECO_THREADS": "many"]) == 16)
  }

  @Test func ranksShareANodeUnlessTheyAreBoundApart() {
    #expect(number(ranksOnNode: 4) == 4)
    #expect(number(available: 4, ranksOnNode: 4) == 4)
    #expect(number(ranksOnNode: 40) == 1)
  }
}
