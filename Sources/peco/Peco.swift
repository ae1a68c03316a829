import ArgumentParser
import Datasets
import Foundation
import Tasks
import Tensors

/// The command line: one subcommand a file.
@main
struct Peco: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "peco",
    abstract: "Pretrains vision transformers with a perceptual codebook, on any machine or cluster with MPI.",
    discussion: """
      Stage 1 trains a tokenizer, stage 2 pretrains a transformer on its tokens, stage 3 fine-tunes or \
      probes it. Training commands resume by themselves.

      Examples:
        peco dataset prepare --input IMAGES --output images.h5
        peco tokenizer train --config configs/quickstart/tokenizer.yaml \\
          --run runs/tokenizer --set data.path=images.h5
        peco pretrain --config configs/quickstart/pretrain.yaml \\
          --run runs/pretrain \\
          --set data.path=images.h5 tokens.tokenizer=runs/tokenizer
        peco probe --checkpoint runs/pretrain --data images.h5 \\
          --evaluation test.h5

      Under mpirun every rank has its share of the work; launch/mpirun chooses ranks, threads and binding:
        launch/mpirun -n 8 -- peco pretrain \\
          --config configs/peco_vit_base_300e.yaml --run runs/base

      Exit codes:
        0    done
        1    an error, told once for all ranks
        64   wrong usage
        75   stopped by a signal with a checkpoint written; the same command goes on
        130  interrupted; what was half written is removed

      Environment:
        PECO_THREADS            threads of each rank, unless the configuration says
        PECO_KEEP_ENVIRONMENT   1: leave the settings of libraries as they are
      """,
    version: pecoVersion,
    subcommands: [DatasetCommand.self] + TaskRegistry.commands + [
      PerceptualCommand.self, ReportCommand.self, ImportCommand.self, ExportCommand.self, FigureCommand.self,
      BenchmarkCommand.self, DoctorCommand.self,
    ])

  // As errors of a run on several ranks begin.
  static var _errorLabel: String { "error" }

  static func main() {
    Startup.prepare()
    do {
      let command = try parseAsRoot()
      // What fails in an operation, which cannot throw, is told as any other error.
      try ExecutionContext().run {
        var command = command
        try command.run()
      }
    } catch {
      Startup.letFirstRankSpeak()
      exit(withError: (error as? DatasetError)?.worded ?? error)
    }
  }
}
