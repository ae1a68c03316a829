import Communication
import Testing

@Suite("How a process was started")
struct LaunchTests {
  @Test(
    "a process without a launcher is alone",
    arguments: [
      [:],
      ["OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "0"],
      // A batch script's own shell, and a single task.
      ["SLURM_PROCID": "0", "SLURM_NTASKS": "8"],
      ["SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"],
      ["PMIX_RANK": "0", "SLURM_STEP_NUM_TASKS": "1"],
    ])
  func alone(environment: [String: String]) throws {
    #expect(try Launch.detect(environment: environment) == .alone)
  }

  @Test("launchers are told apart, mpirun first")
  func launchers() throws {
    #expect(
      try Launch.detect(environment: [
        "OMPI_COMM_WORLD_SIZE": "4", "PMIX_RANK": "1", "SLURM_STEP_NUM_TASKS": "2",
      ])
        == .underLauncher(name: "mpirun", size: 4))
    #expect(
      try Launch.detect(environment: ["PMIX_RANK": "1", "SLURM_STEP_NUM_TASKS": "16"])
        == .underLauncher(name: "PMIx", size: 16))
    #expect(try Launch.detect(environment: ["PMIX_RANK": "1"]) == .underLauncher(name: "PMIx", size: nil))
    #expect(
      try Launch.detect(environment: ["PMI_RANK": "1", "PMI_SIZE": "3"])
        == .underLauncher(name: "PMI", size: 3))
  }

  @Test("tasks of srun that MPI could not join are an error, not so many lone runs")
  func srunWithoutPMI() {
    #expect(throws: CommunicationError.self) {
      try Launch.detect(environment: ["SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "4"])
    }
  }
}
