import ArgumentParser
import Datasets
import Foundation
import Preparation
import TaskSupport
import Terminal

/// `peco dataset prepare`: a folder or an archive of images becomes a dataset file.
struct DatasetPrepareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "prepare", abstract: "Turns a folder or an archive of images into a dataset file.",
    discussion: """
      The input is a folder of CLASS/NAME with images in JPEG, PNG or WebP, a folder of images without \
      classes, an archive of either (tar, also packed by gzip, bzip2, xz or zstd, or zip), or a folder or \
      archive of one archive a class, as ILSVRC2012's own train.tar; archives are read as a stream. Images \
      that cannot be used are listed and skipped. The output appears under its name only when it is complete.

      Examples:
        peco dataset prepare --input IMAGES --output images.h5
        peco dataset prepare --input ILSVRC2012_img_train.tar \\
          --output imagenet.h5 --short-side 256
      """)

  @Option(help: ArgumentHelp("Folder or archive of images.", valueName: "dir|archive"), completion: .file())
  var input: String

  @Option(help: ArgumentHelp("Dataset file to write.", valueName: "file.h5"), completion: .hdf5)
  var output: String

  @Option(
    help: ArgumentHelp(
      "Take only what lies below this folder of the input; by default all.", valueName: "folder"))
  var subset: String?

  @Option(
    help: ArgumentHelp(
      "Resize images whose short side is longer; none is enlarged. By default they stay as they are.",
      valueName: "pixels"))
  var shortSide: Int?

  @Option(help: ArgumentHelp("JPEG quality of resized images, 1 to 100.", valueName: "q"))
  var quality = 95

  @Option(
    help: ArgumentHelp(
      "What is done with the orientation that a camera noted: apply turns images, ignore leaves them as stored.",
      valueName: "apply|ignore"))
  var exifOrientation = DatasetPreparation.ExifOrientation.ignore

  @Option(help: ArgumentHelp("Threads that decode; by default one a processor.", valueName: "n"))
  var workers: Int?

  @Flag(help: "Fail on an image that cannot be used, and on a class folder without images.")
  var strict = false

  @Option(
    help: ArgumentHelp(
      "Write the list of skipped images and reasons here; by default nowhere.", valueName: "file"),
    completion: .file())
  var report: String?

  func run() throws {
    var preparation = DatasetPreparation(input: input, output: output)
    preparation.subset = subset
    preparation.shortSide = shortSide
    preparation.quality = quality
    preparation.exifOrientation = exifOrientation
    preparation.workers = workers ?? defaultWorkers()
    preparation.isStrict = strict
    preparation.report = report
    let line = ProgressLine()
    let summary = try withInterruption { cancellation in
      defer { line.clear() }
      return try preparation.run(cancellation: cancellation) { progress in line.show(Self.text(progress)) }
    }
    list(summary.skipped)
    for note in summary.notes {
      let option = note.field == .subset ? " (--subset)" : ""
      FileHandle.standardError.write(Data("note: \(note.text)\(option)\n".utf8))
    }
    let classes = summary.classes == 0 ? "no labels" : "\(summary.classes) classes"
    let resized = shortSide == nil ? "" : ", \(summary.resized) resized"
    let others = summary.otherFiles == 0 ? "" : ", \(summary.otherFiles) other files"
    let rate = Double(summary.images) / max(summary.seconds, 1e-3)
    print(
      "\(output): \(summary.images) images, \(classes), \(Quantity.bytes(summary.bytes))\(resized), "
        + "\(summary.skipped.count) skipped\(others), \(formatted(seconds: summary.seconds)) (\(Int(rate)) images/s), "
        + "fingerprint \(hexadecimal(summary.fingerprint))")
  }

  private static func text(_ progress: DatasetPreparation.Progress) -> String {
    if let written = progress.written { return "writing \(Int(written * 100)) %" }
    let rate = Int(Double(progress.images) / max(progress.seconds, 1e-3))
    return
      "\(progress.images) images, \(Quantity.bytes(progress.bytes)), \(progress.skipped) skipped, \(rate) images/s"
  }

  private func list(_ skipped: [DatasetPreparation.Skipped]) {
    guard !skipped.isEmpty else { return }
    var text = "skipped \(skipped.count):\n"
    for image in skipped.prefix(20) { text += "  \(image.path.printable): \(image.reason.printable)\n" }
    if skipped.count > 20 {
      text +=
        "  and \(skipped.count - 20) more" + (report.map { ", all in \($0)" } ?? "; --report FILE lists all")
        + "\n"
    }
    FileHandle.standardError.write(Data(text.utf8))
  }
}

extension DatasetPreparation.ExifOrientation: ExpressibleByArgument {}
