import Foundation
import Terminal
import TestSupport
import Testing
import Trainer

@Suite struct MetricsTests {
  private func metrics(_ step: Int, loss: Double = 1.0 / 3) -> Metrics {
    Metrics(
      step: step, epoch: step / 4, loss: loss, learningRate: 5e-5, gradientNorm: 2, imagesPerSecond: 812.5,
      seconds: 0.25, others: [("codebook_usage", 0.5), ("accuracy", 1e-7)])
  }

  private func text(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

  @Test func oneLineAStepInFixedOrder() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/metrics.jsonl"
      try MetricsWriter(path: path).write(metrics(4))
      #expect(
        try text(path) == """
          {"step": 4, "epoch": 1, "loss": 0.333333333, "learning_rate": 5e-05, "gradient_norm": 2, \
          "images_per_second": 812.5, "seconds": 0.25, "codebook_usage": 0.5, "accuracy": 1e-07}

          """)
    }
  }

  @Test func nonFiniteValuesAreNull() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/metrics.jsonl"
      let writer = try MetricsWriter(path: path)
      try writer.write(metrics(1, loss: .nan))
      try writer.write(metrics(2, loss: -.infinity))
      let lines = try MetricsLine.read(path)
      #expect(lines.map(\.step) == [1, 2])
      #expect(lines.allSatisfy { $0["loss"] == nil && $0["seconds"] == 0.25 })
      #expect(try text(path).contains("\"loss\": null"))
    }
  }

  @Test func resumingDropsLaterStepsAndBrokenLines() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/metrics.jsonl"
      let first = try MetricsWriter(path: path)
      for step in 1...5 { try first.write(metrics(step)) }
      let whole = try text(path)
      try (whole + "{\"step\": 6, \"epo").write(toFile: path, atomically: false, encoding: .utf8)

      let second = try MetricsWriter(path: path, after: 3)
      for step in 4...6 { try second.write(metrics(step)) }
      #expect(try MetricsLine.read(path).map(\.step) == [1, 2, 3, 4, 5, 6])
      #expect(try text(path).hasPrefix(whole))
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["metrics.jsonl"])

      _ = try MetricsWriter(path: path)
      #expect(try text(path).isEmpty)
    }
  }

  @Test func saysWhatCannotBeWrittenOrRead() throws {
    #expect(throws: (any Error).self) { try MetricsWriter(path: "/nonexistent/metrics.jsonl") }
    #expect(throws: (any Error).self) { try MetricsLine.read("/nonexistent/metrics.jsonl") }
  }

  @Test func jsonIsValid() throws {
    var inner = JSONObject()
    inner.append("a\"b\\c\n\u{1}ü", "x\ty")
    var object = JSONObject()
    object.append("objects", [inner, inner])
    object.append("truth", true)
    object.appendNull("nothing")
    let parsed = try JSONSerialization.jsonObject(with: Data(object.text.utf8)) as? [String: Any]
    let list = parsed?["objects"] as? [[String: String]]
    #expect(list?.count == 2 && list?[0] == ["a\"b\\c\n\u{1}ü": "x\ty"])
    #expect(parsed?["truth"] as? Bool == true && parsed?["nothing"] is NSNull)
  }

  @Test func aReportHasTheLastOfEachMetric() throws {
    try withTemporaryFolder { folder in
      let run = folder + "/run"
      try FileManager.default.createDirectory(atPath: run, withIntermediateDirectories: true)
      #expect(throws: (any Error).self) { try RunReport(run: run) }
      let writer = try MetricsWriter(path: run + "/metrics.jsonl")
      #expect(throws: RunError.self) { try RunReport(run: run) }
      var evaluated = metrics(2)
      evaluated.others.append(("evaluation_top1", 0.75))
      for line in [metrics(1), evaluated, metrics(3, loss: 0.25)] { try writer.write(line) }
      let report = try RunReport(run: run)
      #expect(report.steps == 3 && report.seconds == 0.75)
      #expect(
        report.json(["evaluation_top1", "loss", "psnr"]).text
          == """
          {"run": "\(run)", "steps": 3, "seconds": 0.75, "evaluation_top1": 0.75, "loss": 0.25, "psnr": null}
          """)
      #expect(
        RunReport.table([report], ["loss", "psnr"])
          == """
          | run | steps | minutes | loss | psnr |
          | --- | ---: | ---: | ---: | ---: |
          | \(run) | 3 | 0.0 | 0.25 | — |
          """)
      #expect(
        RunReport.table([report], [], headlines: ["accuracy", "evaluation_top1", "psnr"])
          .contains("| loss | accuracy | evaluation_top1 | codebook_usage |"))
    }
  }
}
