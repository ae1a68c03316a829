import Foundation
import Testing

/// The package under `Examples`, as its README says to run it.
@Suite(.serialized) struct ExampleTests {
  private let example = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appending(path: "../../Examples/Denoising").standardizedFileURL

  @Test func `the example trains, resumes, and is the same on two ranks`() throws {
    let workshop = try Workshop()
    let images = try workshop.peco([
      "dataset", "synthesize", "--output", "images.h5", "--count", "64", "--size", "32",
    ])
    #expect(images.exitCode == 0, "\(images)")
    let peco = URL(filePath: try Workshop.pecoPath())
    let program = peco.deletingLastPathComponent().appending(path: "denoise")
    func train(_ run: String, ranks: Int, steps: Int) throws {
      let launcher =
        ranks == 1
        ? [] : ["mpirun", "--quiet", "-np", "\(ranks)", "--oversubscribe", "--bind-to", "none"]
      let result = try workshop.run(
        launcher + [
          program.path, "--config", example.appending(path: "denoising.yaml").path, "--run", run,
          "--set", "training.stop_after_step=\(steps)", "data.workers=1",
        ])
      guard result.exitCode == 0 else { throw Unexpected(result) }
    }
    try train("one", ranks: 1, steps: 30)
    try train("one", ranks: 1, steps: 60)
    try train("two", ranks: 2, steps: 10)
    let (one, two) = (try losses(workshop, "one"), try losses(workshop, "two"))
    #expect(one.count == 60 && two.count == 10)
    #expect(abs(one[0] - two[0]) < 1e-5 * one[0])
    let (first, last) = (one.prefix(10).reduce(0, +), one.suffix(10).reduce(0, +))
    #expect(last < 0.6 * first, "\(one)")
  }

  private func losses(_ workshop: Workshop, _ run: String) throws -> [Double] {
    try workshop.metric("loss", of: run).compactMap(Double.init)
  }

  @Test func `the example is a package that takes the library`() throws {
    let run = try Workshop().run(["swift", "package", "--package-path", example.path, "dump-package"])
    #expect(run.exitCode == 0, "\(run)")
    for word in ["PeCoTrainer", "denoise"] { #expect(run.output.contains("\"\(word)\""), "\(run)") }
  }
}
