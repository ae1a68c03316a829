import Configuration
import Imaging

/// The `preprocessor_config.json` of Hugging Face's that lies beside weights: what makes images of the model.
enum HuggingFacePreprocessor {
  /// Takes up what it says, where nobody has said it before.
  static func read(
    _ file: SidecarReader, _ facts: ModelCard.Architecture, into description: inout WeightDescription
  ) {
    readNormalization(file, into: &description)
    readSize(file, facts, into: &description)
    if let number = file.integer("resample") {
      if let filter = filters.first(where: { $0.value == number })?.key {
        description.interpolation = description.interpolation ?? filter
      } else if description.interpolation == nil {
        file.refuse(
          "resample",
          "is \(number), a filter of Pillow's that peco does not have; say another by --set data.interpolation=bicubic"
        )
      }
    }
    file.require("do_pad", false)
    file.require("do_flip_channel_order", false)
    file.ignore(
      "image_processor_type", "feature_extractor_type", "processor_class", "_processor_class",
      "_valid_processor_keys",
      "do_convert_rgb", "do_reduce_labels", "default_to_square", "input_data_format", "data_format",
      "return_tensors",
      "device", "disable_grouping", "pad_size", "image_seq_length")
  }

  /// Pillow's numbers.
  static let filters: [ResampleFilter: Int] = [.lanczos: 1, .bilinear: 2, .bicubic: 3, .box: 4]

  /// A pixel of 0 to 255 becomes (pixel · factor − mean) / deviation; on a scale of 0 to 1 mean and deviation are those
  /// over 255 · factor.
  private static func readNormalization(_ file: SidecarReader, into description: inout WeightDescription) {
    guard description.normalization == nil else {
      return file.ignore(
        "rescale_offset", "do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std")
    }
    file.require("rescale_offset", false)
    let isRescaled = file.flag("do_rescale") ?? true
    let given = file.number("rescale_factor")
    let factor = isRescaled ? given ?? 1 / 255.0 : 1
    guard factor.isFinite, factor > 0 else {
      return file.refuse("rescale_factor", "is \(factor), expected a number above 0")
    }
    let (mean, deviation) = (file.channels("image_mean"), file.channels("image_std"))
    let isNormalized = file.flag("do_normalize") ?? (mean != nil)
    let scale = factor * 255
    guard isNormalized || file.has("do_normalize") else {
      if abs(scale - 1) > 1e-6 {
        file.refuse(
          given == nil ? "do_rescale" : "rescale_factor",
          "is given without what images are normalized by; say it by --mean and --std")
      }
      return
    }
    guard let mean = isNormalized ? mean : [0, 0, 0], let deviation = isNormalized ? deviation : [1, 1, 1]
    else {
      return file.refuse(
        file.has("image_mean") ? "image_mean" : "do_normalize",
        "is given, but not both image_mean and image_std, three numbers each; say them by --mean and --std")
    }
    // Rounded to where numbers such as 127.5 · 1/255 are what they are meant to be.
    func onUnitScale(_ value: Double) -> Double {
      abs(scale - 1) < 1e-6 ? value : (value / scale * 1e9).rounded() / 1e9
    }
    description.take(
      ImageNormalization(mean: mean.map(onUnitScale), standardDeviation: deviation.map(onUnitScale)),
      ("image_mean", "image_std"), file)
  }

  /// Where both sides become equal, that is the length: images keep their proportions here, so that the middle square
  /// is seen in place of the whole, squeezed image.
  private static func readSize(
    _ file: SidecarReader, _ facts: ModelCard.Architecture, into description: inout WeightDescription
  ) {
    let isCropped = file.flag("do_center_crop") ?? false
    let crop = square("crop_size", ["height", "width"], file, isCropped)
    let sizeKeys = ["shortest_edge", "height", "width"]
    let isResized = file.flag("do_resize") ?? file.has("size")
    let size = square("size", sizeKeys, file, isResized)
    let shown = isCropped ? ("crop_size", crop) : ("size", size)
    description.take(imageSides: shown.1.map { [$0] }, shown.0, file, facts)
    guard let size else { return }
    if isCropped, let crop, size < crop {
      return file.refuse("size", "is \(size), of which no square of \(crop) can be cut")
    }
    if !isCropped, file.sides("size", sizeKeys)?.count == 2 {
      file.note(
        "size", "makes a square of the whole image; peco keeps its proportions and shows the middle square")
    }
    description.resize = description.resize ?? size
  }

  /// The one side that a key gives, if it is used; a problem where there are two.
  private static func square(_ key: String, _ keys: [String], _ file: SidecarReader, _ isUsed: Bool) -> Int? {
    guard let sides = file.sides(key, keys), isUsed, let side = sides.first else { return nil }
    guard sides.allSatisfy({ $0 == side }), side > 0 else {
      file.refuse(key, "is \(sides.map(String.init).joined(separator: " × ")), peco shows squares")
      return nil
    }
    return side
  }
}
