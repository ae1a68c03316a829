/// How this process was started, read from the environment that launchers leave behind.
public enum Launch: Equatable, Sendable {
  /// One process on its own: MPI is not needed and not touched.
  case alone
  /// One of several processes, started by a launcher that MPI can talk to.
  case underLauncher(name: String, size: Int?)

  /// Reads the launcher's variables.
  ///
  /// Throws where several processes were started by `srun` without an interface that MPI understands: each
  /// would take itself for the only one, and all would write the same run.
  public static func detect(environment: [String: String]) throws -> Launch {
    func number(_ names: String...) -> Int? {
      names.lazy.compactMap { environment[$0].flatMap { Int($0) } }.first
    }
    let slurmTasks = number("SLURM_STEP_NUM_TASKS")
    let candidates: [(name: String, isPresent: Bool, size: Int?)] = [
      ("mpirun", environment["OMPI_COMM_WORLD_SIZE"] != nil, number("OMPI_COMM_WORLD_SIZE")),
      ("PMIx", environment["PMIX_RANK"] != nil, slurmTasks),
      ("PMI", environment["PMI_RANK"] != nil, number("PMI_SIZE") ?? slurmTasks),
    ]
    if let launcher = candidates.first(where: { $0.isPresent }) {
      return launcher.size == 1 ? .alone : .underLauncher(name: launcher.name, size: launcher.size)
    }
    if let slurmTasks, slurmTasks > 1, environment["SLURM_PROCID"] != nil {
      throw CommunicationError(
        "srun started \(slurmTasks) tasks without an interface MPI understands; "
          + "use `srun --mpi=pmix` (`srun --mpi=list` shows what is there) or mpirun")
    }
    return .alone
  }
}
