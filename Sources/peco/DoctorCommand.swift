import ArgumentParser
import Benchmarks
import Communication
import Foundation
import TaskSupport
import Trainer

/// `peco doctor`: whether this machine is used well.
struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Examines processor, libraries, MPI and disk, and reports problems.",
    discussion: """
      Each line has a verdict; advice follows where something can be better. It exits with 1 where something \
      is broken.

      Examples:
        peco doctor --directory runs
        launch/mpirun -n 2 -- peco doctor
      """)

  @Option(
    help: ArgumentHelp("The disk to examine: where runs are to be written.", valueName: "directory"),
    completion: .directory)
  var directory = "."

  func run() throws {
    onAllRanks { communicator in
      try ComputeThreads.configure(requested: nil, communicator: communicator)
      var isSound = true
      if communicator.isRoot {
        try Diagnosis.run(directory: directory, communicator: communicator) { finding in
          let subject = finding.subject.padding(toLength: 38, withPad: " ", startingAt: 0)
          print(
            "\(finding.verdict.rawValue.padding(toLength: 6, withPad: " ", startingAt: 0)) \(subject) \(finding.value)"
          )
          if let advice = finding.advice { print("       → \(advice)") }
          if finding.verdict == .broken { isSound = false }
        }
      }
      try communicator.barrier()
      return isSound ? 0 : 1
    }
  }
}
