import Datasets
import Foundation
import Imaging
import Threads

/// Reads every image of a dataset, compares it with its checksum and decodes it.
public struct DatasetVerification {
  /// An image that is not as it should be.
  public struct Problem: Sendable, Equatable {
    public let index: Int
    public let reason: String
  }

  /// Looks at all images; gives back those with a problem, in order.
  ///
  /// - Parameters:
  ///   - dataset: What is looked at.
  ///   - workers: Threads that decode.
  ///   - cancellation: Ends the work early.
  ///   - onProgress: Called a few times a second with the images done, on the calling thread.
  public static func verify(
    _ dataset: ImageDataset, workers: Int, cancellation: Cancellation = Cancellation(),
    onProgress: (Int) -> Void = { _ in }
  ) throws -> [Problem] {
    final class Context {
      let codec = ImageCodec()
      var bytes: [UInt8] = []
    }
    let found = ProblemList()
    try WorkerGroup.forEach(dataset.count, workers: workers, context: Context.init) { index, context in
      do {
        try dataset.read(index, into: &context.bytes)
        let stored = try context.codec.requireDecodable(context.bytes, dataset.describe(index))
        let size = dataset.orientation(index).size(width: stored.width, height: stored.height)
        guard size.width == dataset.widths[index], size.height == dataset.heights[index] else {
          throw DatasetError(
            dataset.path,
            "\(dataset.describe(index)) is \(size.width) × \(size.height), the index says "
              + "\(dataset.widths[index]) × \(dataset.heights[index])")
        }
      } catch let error as DatasetError {
        found.add(Problem(index: index, reason: error.problem))
      }
    } onTick: { done in
      if cancellation.isCancelled { throw DatasetError(dataset.path, "interrupted") }
      onProgress(done)
    }
    return found.sorted
  }

  /// Unchecked: a lock guards the list.
  private final class ProblemList: @unchecked Sendable {
    private let lock = NSLock()
    private var problems: [Problem] = []
    func add(_ problem: Problem) { lock.withLock { problems.append(problem) } }
    var sorted: [Problem] { problems.sorted { $0.index < $1.index } }
  }
}
