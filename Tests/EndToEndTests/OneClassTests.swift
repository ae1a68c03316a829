import Foundation
import Testing

/// Classifiers of images that are all of one class.
@Suite(.serialized) struct OneClassTests {
  @Test func `that there is nothing to learn is said`() throws {
    let workshop = try Workshop()
    let drawn = try workshop.peco([
      "dataset", "synthesize", "--folder", "tree", "--count", "40", "--size", "40",
    ])
    #expect(drawn.exitCode == 0, "\(drawn)")
    let folders = try FileManager.default.contentsOfDirectory(atPath: workshop.path("tree")).sorted()
    for (data, kept) in [("one.h5", 1), ("two.h5", 2)] {
      for name in folders.prefix(kept) {
        try FileManager.default.createDirectory(
          atPath: workshop.path(data + "-images"), withIntermediateDirectories: true)
        try FileManager.default.copyItem(
          atPath: workshop.path("tree/\(name)"), toPath: workshop.path("\(data)-images/\(name)"))
      }
      let made = try workshop.peco(["dataset", "prepare", "--input", data + "-images", "--output", data])
      #expect(made.exitCode == 0, "\(made)")
    }
    try workshop.write(
      """
      data: {path: one.h5, image_size: 32, workers: 1}
      model: {width: 24, depth: 1, heads: 2, patch_size: 8}
      training: {steps: 1, global_batch_size: 2, micro_batch_size: 2}
      """, to: "finetune.yaml")
    for (data, isOne) in [("one.h5", true), ("two.h5", false)] {
      let trained = try workshop.train(.finetune, run: data + "-run", set: ["data.path=\(data)"])
      let probed = try workshop.peco([
        "probe", "--checkpoint", data + "-run", "--data", data, "--evaluation", data,
      ])
      for run in [trained, probed] {
        #expect(run.exitCode == 0, "\(run)")
        #expect(run.errors.contains("\(data) are of one class, '\(folders[0])'") == isOne, "\(run)")
      }
    }
  }
}
