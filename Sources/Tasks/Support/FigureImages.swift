import Datasets
import Foundation
import Imaging
import Models
import Tensors
import Terminal

/// Which images of a dataset a figure shows.
public enum ImageChoice: Sendable, Equatable {
  /// So many, drawn by a seed.
  case drawn(count: Int, seed: UInt64)
  /// These, by their places in the dataset from 0.
  case listed([Int])

  /// The images' places; drawn ones ascend, which is by class.
  package func indices(in dataset: ImageDataset) throws -> [Int] {
    switch self {
    case .drawn(let count, let seed):
      guard count >= 1, count <= dataset.count else {
        throw RunError("\(count) images were asked for; \(dataset.path) has \(dataset.count)")
      }
      var stream = RandomStream(seed: seed, purpose: .figure)
      return stream.permutation(dataset.count).prefix(count).sorted()
    case .listed(let indices):
      if let wrong = indices.first(where: { $0 < 0 || $0 >= dataset.count }) {
        throw RunError(
          "there is no image \(wrong) in \(dataset.path), which has \(dataset.count), from 0 on")
      }
      return indices
    }
  }
}

extension SamplePipeline {
  /// The square in the middle of each image, whole and unchanged.
  package static func whole(
    seed: UInt64 = 0, image: ImagePreprocessing? = nil, tokenizerImage: ImagePreprocessing? = nil,
    mask: MaskGenerator? = nil
  ) -> SamplePipeline {
    SamplePipeline(
      seed: seed, augmentation: Augmentation(crop: .center(fraction: 1), flipProbability: 0),
      image: image, tokenizerImage: tokenizerImage, mask: mask)
  }
}

extension ImagePreprocessing {
  /// One image of a batch [batch, height, width, 3] that was normalized this way.
  package func image(_ batch: Tensor, _ index: Int) -> Image {
    let pixels = batch[row: index].elements.enumerated().map { offset, element -> UInt8 in
      let value = (element * deviation[offset % 3] + mean[offset % 3]) * 255
      return UInt8(max(0, min(255, value)).rounded())
    }
    return Image(width: batch.shape[2], height: batch.shape[1], pixels: pixels)
  }
}

extension Tokenizer {
  /// How it sees images.
  package var preprocessing: ImagePreprocessing { .tokenizer(size: imageSize) }

  /// One image of a batch [batch, height, width, 3] with values from -1 to 1.
  package func image(_ batch: Tensor, _ index: Int) -> Image { preprocessing.image(batch, index) }
}

extension Image {
  /// Enlarged by the whole factor that brings its width nearest to `width`.
  package func enlarged(toward width: Int) -> Image {
    enlarged(by: max(1, Int((Double(width) / Double(max(self.width, 1))).rounded())))
  }

  /// A window of the image; light gray where it reaches over the edge.
  package func window(x: Int, y: Int, width: Int, height: Int) -> Image {
    var canvas = Canvas(width: width, height: height, background: (230, 230, 230))
    canvas.place(self, x: -x, y: -y)
    return canvas.image
  }
}

/// What figures call a checkpoint: its run's directory, or a file's own name.
package func figureLabel(of path: String) -> String {
  var url = URL(fileURLWithPath: path)
  if url.deletingLastPathComponent().lastPathComponent == "checkpoints" {
    url = url.deletingLastPathComponent().deletingLastPathComponent()
  }
  let name = url.lastPathComponent
  return name.hasSuffix(".h5") ? String(name.dropLast(3)) : name
}

/// Labels for checkpoints: those given, or their own names.
package func figureLabels(_ given: [String], for paths: [String], option: String) throws -> [String] {
  guard given.isEmpty || given.count == paths.count else {
    throw RunError("--label is given \(given.count) times, --\(option) \(paths.count) times; one for each")
  }
  return given.isEmpty ? paths.map(figureLabel) : given
}
