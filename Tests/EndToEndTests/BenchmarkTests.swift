import Foundation
import Testing

/// `peco benchmark` at its smallest: that it runs, and that what it prints can be read.
@Suite(.serialized) struct BenchmarkTests {
  private func object(_ arguments: [String], ranks: Int? = nil, in workshop: Workshop) throws -> [String: Any]
  {
    let run = try workshop.peco(["benchmark"] + arguments + ["--json"], ranks: ranks)
    #expect(run.exitCode == 0, "\(run)")
    return try #require(JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any], "\(run)")
  }

  @Test(arguments: ["pretrain", "finetune"])
  func `a training step is split into its parts`(of benchmark: String) throws {
    let found = try object(
      [benchmark, "--size", "tiny", "--batch", "2", "--warmup", "1", "--steps", "2"], ranks: 2,
      in: Workshop())
    #expect(found["ranks"] as? Int == 2 && found["batch"] as? Int == 2)
    let seconds = try #require(found["seconds"] as? [Double])
    #expect(seconds.count == 2)
    let parts = try ["data_wait", "forward", "backward", "communication_exposed", "optimizer"].map {
      try #require(found[$0 + "_seconds"] as? [Double])
    }
    for step in 0..<2 {
      let sum = parts.reduce(0) { $0 + $1[step] }
      #expect(sum > 0 && sum < 2 * seconds[step])
    }
    #expect((found["gflops"] as? Double ?? 0) > 0 && (found["peak_memory_bytes"] as? Int ?? 0) > 1 << 20)
  }

  @Test func `the loader and a checkpoint`() throws {
    let workshop = try Workshop()
    try workshop.prepare()
    let loader = try object(["loader", "--data", "images.h5", "--seconds", "0.1"], in: workshop)
    #expect((loader["images_per_second"] as? Double ?? 0) > 0)
    let checkpoint = try object(["checkpoint", "--size", "tiny", "--repeats", "1"], in: workshop)
    #expect((checkpoint["bytes"] as? Int ?? 0) > 1 << 20)
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: workshop.folder.path).allSatisfy {
        !$0.contains("benchmark")
      })
  }

  @Test func `a problem that does not fit is refused`() throws {
    let workshop = try Workshop()
    try workshop.write("no tensors", to: "problem.safetensors")
    let run = try workshop.peco(
      ["benchmark", "pretrain", "--size", "tiny", "--batch", "1", "--problem", "problem.safetensors"])
    #expect(run.exitCode != 0 && run.errorLines.count == 1, "\(run)")
    let odd = try workshop.peco(["benchmark", "finetune", "--size", "tiny", "--batch", "3"])
    #expect(odd.exitCode != 0 && odd.errors.contains("pairs"), "\(odd)")
  }
}
