import Datasets
import Imaging
import Tensors
import Testing

@Suite struct TargetsTests {
  /// A green rectangle on red, as image, label map and box.
  private func sample(
    width: Int, height: Int, x: Range<Int>, y: Range<Int>
  ) -> Sample {
    var image = Image(width: width, height: height, color: (255, 0, 0))
    var labels = [Int32](repeating: 0, count: width * height)
    for row in y {
      for column in x {
        image.pixels.replaceSubrange(
          (row * width + column) * 3..<(row * width + column + 1) * 3, with: [0, 255, 0])
        labels[row * width + column] = 7
      }
    }
    let box = BoundingBox(
      x0: Float(x.lowerBound), y0: Float(y.lowerBound), x1: Float(x.upperBound), y1: Float(y.upperBound),
      label: 7)
    return Sample(
      image: image,
      targets: Targets(
        label: 3, labelMap: LabelMap(width: width, height: height, values: labels, ignoreValue: 255),
        boxes: BoundingBoxes([box])))
  }

  @Test(arguments: [false, true], [[40, 40], [24, 60], [90, 30], [17, 23]])
  func imageLabelMapAndBoxAgreeInEveryView(_ isFlipped: Bool, _ size: [Int]) throws {
    let (width, height) = (size[0], size[1])
    let whole = sample(width: 80, height: 60, x: 22..<45, y: 10..<37)
    // Cuts the rectangle's left and upper edges off.
    let transform = GeometricTransform(
      region: Region(x: 30, y: 15, width: 45, height: 40), isFlipped: isFlipped, width: width,
      height: height)
    let view = try whole.applying(transform)
    let map = try #require(view.targets.labelMap)
    let box = try #require(view.targets.boxes?.boxes.first)
    #expect([view.image.width, view.image.height] == size && [map.width, map.height] == size)
    #expect(view.targets.label == 3 && box.label == 7)
    #expect(isFlipped ? box.x1 == Float(width) : box.x0 == 0)
    var labeled = 0
    for row in 0..<height {
      for column in 0..<width {
        let (x, y) = (Float(column) + 0.5, Float(row) + 0.5)
        let isInBox = x > box.x0 && x < box.x1 && y > box.y0 && y < box.y1
        let distance = [x - box.x0, x - box.x1, y - box.y0, y - box.y1].map(abs).min() ?? 0
        let label = map.values[row * width + column]
        labeled += label == 7 ? 1 : 0
        // A center may lie on an edge itself.
        if distance > 1e-3 { #expect((label == 7) == isInBox) }
        // Away from edges, which the image's filter blurs.
        let reach = 2 * max(1, Float(max(45.0 / Double(width), 40.0 / Double(height)))) + 1
        guard distance > reach else { continue }
        let green = view.image.pixels[(row * width + column) * 3 + 1]
        #expect(green == (isInBox ? 255 : 0), "row \(row), column \(column)")
      }
    }
    #expect(labeled > 0 && labeled < map.values.count)
  }

  @Test func colorsChangeTheImageAlone() {
    let whole = sample(width: 12, height: 8, x: 2..<6, y: 1..<4)
    let changed = whole.adjusted([.brightness(0.5), .hue(0.25)])
    #expect(changed.targets == whole.targets)
    #expect(changed.image != whole.image)
  }

  @Test func labelsOutsideOfTheImageAreIgnored() {
    let map = LabelMap<UInt8>(width: 2, height: 2, values: [1, 2, 3, 4], ignoreValue: 255)
    let around = GeometricTransform(
      region: Region(x: -1, y: 0, width: 4, height: 3), isFlipped: false, width: 4, height: 3)
    #expect(
      map.applying(around).values == [255, 1, 2, 255, 255, 3, 4, 255, 255, 255, 255, 255])
    let twice = GeometricTransform(
      region: Region(x: 0, y: 0, width: 2, height: 2), isFlipped: true, width: 4, height: 2)
    #expect(map.applying(twice).values == [2, 2, 1, 1, 4, 4, 3, 3])
  }

  @Test func boxesAreClippedAndEmptyOnesDropped() {
    func box(_ x0: Float, _ y0: Float, _ x1: Float, _ y1: Float, _ label: Int32) -> BoundingBox {
      BoundingBox(x0: x0, y0: y0, x1: x1, y1: y1, label: label)
    }
    let boxes = BoundingBoxes([
      box(0, 0, 30, 30, 0), box(12, 14, 16, 20, 1), box(0, 0, 10, 10, 2), box(31, 10, 40, 20, 3),
      box(15, 15, 15, 18, 4), box(.nan, 11, 16, 20, 5),
    ])
    let region = Region(x: 10, y: 10, width: 20, height: 20)
    let view = boxes.applying(
      GeometricTransform(region: region, isFlipped: false, width: 40, height: 10))
    #expect(view.boxes == [box(0, 0, 40, 10, 0), box(4, 2, 12, 5, 1)])
    let flipped = boxes.applying(
      GeometricTransform(region: region, isFlipped: true, width: 40, height: 10))
    #expect(flipped.boxes == [box(0, 0, 40, 10, 0), box(28, 2, 36, 5, 1)])
  }

  @Test func batchesPutTargetsTogether() {
    let map = LabelMap<Int32>(width: 1, height: 1, values: [4], ignoreValue: 255)
    let samples = [
      Targets(label: 2, tokens: [5, 6, 7, 8], masked: [0, 3], labelMap: map),
      Targets(label: -1, tokens: [1, 2, 3, 4], masked: [1, 2], labelMap: map, boxes: BoundingBoxes([])),
    ]
    let batch = BatchTargets(samples, patches: 4)
    #expect(batch.labels == [2, -1] && batch.tokens == [5, 6, 7, 8, 1, 2, 3, 4])
    #expect(batch.masked == [0, 3, 5, 6] && batch.labelMaps == [map, map] && batch.boxes == nil)
  }

  /// Masks are cut by patches, whether or not there are tokens to count.
  @Test(arguments: [nil, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] as [Int32]?])
  func aPartOfABatchHasItsMasks(tokens: [Int32]?) {
    let batch = Batch(
      step: 0, samples: [4, 5, 6], images: Tensor([3, 2, 2, 3]), masked: [0, 3, 5, 6, 8], patches: 4,
      tokens: tokens)
    let part = batch.part(1..<3, microBatch: 1)
    #expect(part.samples == [5, 6] && part.masked == [1, 2, 4])
    #expect(part.tokens == tokens.map { _ in [5, 6, 7, 8, 9, 10, 11, 12] })
    #expect(part.part(1..<2, microBatch: 0).masked == [0])
  }

  @Test func iterationHandsOverEveryBatchUntilToldToEnd() throws {
    try withTemporaryFolder { folder in
      let dataset = try makeDataset(folder, count: 7)
      let pipeline = SamplePipeline(seed: 1, tokenizerImage: .tokenizer(size: 8))
      var seen: [[Int]] = []
      var isWhole = try dataset.forEachBatch(pipeline, range: 1..<7, batchSize: 4) { seen.append($0.samples) }
      #expect(isWhole && seen == [[1, 2, 3, 4], [5, 6]])
      seen = []
      isWhole = try dataset.forEachBatch(pipeline, range: 3..<3, batchSize: 4) { seen.append($0.samples) }
      #expect(isWhole && seen.isEmpty)
      isWhole = try dataset.forEachBatch(of: [6, 0, 2], pipeline, batchSize: 2, while: { seen.isEmpty }) {
        batch in
        seen.append(batch.samples)
        #expect(batch.transforms.allSatisfy { $0.width == 8 })
        let images = try batch.requiredTokenizerImages
        #expect(images.shape == [2, 8, 8, 3])
        let failure = message { _ = try batch.requiredImages }
        #expect(failure.contains("the model's view"))
      }
      #expect(!isWhole && seen == [[6, 0]])
    }
  }
}
