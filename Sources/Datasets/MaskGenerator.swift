import Foundation
import Tensors

/// Chooses which patches of an image are masked: exactly `count` of them for every sample.
///
/// `blockwise` is BEiT's algorithm (Bao et al., 2106.08254, algorithm 1): blocks of random area and aspect
/// ratio, placed at random, until enough is masked. BEiT stops where no further block fits, a few patches
/// short; here the rest is filled up with random patches next to masked ones, so that all samples have the
/// same number of targets.
public struct MaskGenerator: Sendable {
  /// How the patches are chosen.
  public enum Kind: Sendable, Equatable {
    /// Blocks of at least `minimumBlock` patches, height / width from `minimumAspect` to its inverse.
    case blockwise(minimumBlock: Int = 16, minimumAspect: Double = 0.3)
    /// Each patch on its own.
    case random
  }

  /// Patches from top to bottom.
  public let height: Int
  /// Patches from left to right.
  public let width: Int
  /// Patches masked in every image.
  public let count: Int
  /// How they are chosen.
  public let kind: Kind

  /// Attempts to place one block, as in BEiT.
  private static let attempts = 10

  /// Throws, naming the settings, where a mask of this kind cannot exist or would differ from the settings.
  public init(height: Int, width: Int, count: Int, kind: Kind = .blockwise()) throws {
    let patches = height * width
    guard height > 0, width > 0 else {
      throw DatasetError(.mask, "the grid of \(height) × \(width) patches is empty")
    }
    guard count > 0 else {
      throw DatasetError(.maskedPatches, "is \(count): with no masked patch there is nothing to predict")
    }
    guard count < patches else {
      throw DatasetError(
        .maskedPatches, "is \(count), but there are only \(patches) patches (\(height) × \(width))",
        advice: "choose at most \(patches - 1): some patches must stay visible")
    }
    if case .blockwise(let block, let aspect) = kind {
      guard block > 0 else { throw DatasetError(.smallestBlock, "is \(block), must be at least 1") }
      guard aspect > 0, aspect <= 1 else {
        throw DatasetError(.blockAspect, "is \(aspect), must lie in (0, 1]")
      }
      guard block <= count else {
        throw DatasetError(
          .smallestBlock,
          "is \(block), more than the \(count) patches that are masked: no block would fit",
          advice: "mask at least \(block) patches, or choose a smaller block")
      }
      let largest = Self.largestBlock(height, width, aspect)
      guard block <= largest else {
        throw DatasetError(
          .smallestBlock,
          "is \(block), but on a grid of \(height) × \(width) patches a block has at most \(largest)",
          advice: "choose at most \(largest)")
      }
    }
    self.height = height
    self.width = width
    self.count = count
    self.kind = kind
  }

  /// Patches in the grid.
  public var patches: Int { height * width }

  /// The masked patches of a sample in an epoch: row-major positions, sorted.
  public func positions(seed: UInt64, epoch: Int, index: Int) -> [Int32] {
    var stream = RandomStream(seed: seed, purpose: .mask, time: epoch, index: index)
    var mask = [Bool](repeating: false, count: patches)
    switch kind {
    case .random:
      for position in stream.permutation(patches).prefix(count) { mask[position] = true }
    case .blockwise(let block, let aspect):
      var missing = count
      while missing > 0 {
        let added = addBlock(to: &mask, atMost: missing, minimumBlock: block, aspect, &stream)
        if added == 0 { break }
        missing -= added
      }
      for _ in 0..<missing { addNeighbor(to: &mask, &stream) }
    }
    return mask.indices.filter { mask[$0] }.map(Int32.init)
  }

  /// Masks one more block of which at most `missing` patches are new; returns their number.
  private func addBlock(
    to mask: inout [Bool], atMost missing: Int, minimumBlock: Int, _ aspect: Double,
    _ stream: inout RandomStream
  ) -> Int {
    for _ in 0..<Self.attempts {
      let area = Double(minimumBlock) + Double(missing - minimumBlock) * Double(stream.uniform())
      let ratio = exp(log(aspect) * (1 - 2 * Double(stream.uniform())))
      let blockHeight = Int((area * ratio).squareRoot().rounded(.toNearestOrEven))
      let blockWidth = Int((area / ratio).squareRoot().rounded(.toNearestOrEven))
      guard blockHeight < height, blockWidth < width else { continue }
      let top = stream.integer(below: height - blockHeight + 1)
      let left = stream.integer(below: width - blockWidth + 1)
      let positions = (top..<top + blockHeight).flatMap { row in
        (left..<left + blockWidth).map { row * width + $0 }
      }
      let new = positions.reduce(0) { mask[$1] ? $0 : $0 + 1 }
      guard new > 0, new <= missing else { continue }
      for position in positions { mask[position] = true }
      return new
    }
    return 0
  }

  /// Masks one more patch: a random one next to a masked one, or any while none is masked.
  private func addNeighbor(to mask: inout [Bool], _ stream: inout RandomStream) {
    let free = mask.indices.filter { !mask[$0] }
    let edge = free.filter { position in
      let (row, column) = position.quotientAndRemainder(dividingBy: width)
      return row > 0 && mask[position - width] || row < height - 1 && mask[position + width]
        || column > 0 && mask[position - 1] || column < width - 1 && mask[position + 1]
    }
    let candidates = edge.isEmpty ? free : edge
    mask[candidates[stream.integer(below: candidates.count)]] = true
  }

  /// The most patches of a block that is smaller than the grid both ways and within the aspect ratios.
  private static func largestBlock(_ height: Int, _ width: Int, _ aspect: Double) -> Int {
    var largest = 0
    for blockHeight in stride(from: 1, to: height, by: 1) {
      for blockWidth in stride(from: 1, to: width, by: 1) {
        let ratio = Double(blockHeight) / Double(blockWidth)
        // Sides are rounded, so that a block is drawn also from a ratio slightly outside of its own.
        if ratio >= aspect * 0.75, ratio <= 1 / (aspect * 0.75) {
          largest = max(largest, blockHeight * blockWidth)
        }
      }
    }
    return largest
  }
}
