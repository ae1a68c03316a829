import ArgumentParser
import PeCoTrainer

/// `denoise --config denoising.yaml --run runs/denoising`: a training command as `peco` has them. It resumes, and it
/// runs on one rank or under `mpirun`.
@main
struct Denoise: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Trains a vision transformer to remove noise from images.")

  @OptionGroup var options: RunOptions

  func run() {
    trainOnAllRanks { [request = options.request] communicator in
      let setup = try RunSetup<DenoisingConfiguration>(request, communicator: communicator)
      let shared = setup.configuration.shared
      let samples = SamplePipeline(
        seed: shared.seed, augmentation: shared.data.augmentation, image: shared.data.imagePreprocessing)
      let task = try communicator.agree { try DenoisingTask(setup.configuration) }
      return try setup.train(task, samples: samples, communicator: communicator)
    }
  }
}
