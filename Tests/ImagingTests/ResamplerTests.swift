import Imaging
import Testing

@Suite struct ResamplerTests {
  private struct Case: Decodable {
    let filter: String
    let box: [Double]
    let width: Int
    let height: Int
  }

  @Test func resizingIsPillows() throws {
    let source = PixelBuffer(Image(width: 61, height: 47, pixels: try fixture("source.rgb")))
    var expected = try fixture("resize.rgb")[...]
    let resampler = Resampler()
    let target = PixelBuffer()
    for item in try fixtureCases("resize", as: Case.self) {
      let filter = try #require(ResampleFilter(rawValue: item.filter))
      let box = Box(
        x: item.box[0], y: item.box[1], width: item.box[2] - item.box[0], height: item.box[3] - item.box[1])
      let count = item.width * item.height * 3
      let reference = Array(expected.prefix(count))
      expected = expected.dropFirst(count)

      try resampler.resample(
        source, box: box, width: item.width, height: item.height, filter: filter, into: target)
      let image = target.image
      #expect(try #require(largestDifference(image.pixels, reference)) <= 1, "\(item)")

      try resampler.resample(
        source, box: box, width: item.width, height: item.height, filter: filter, flipped: true, into: target)
      #expect(target.image == image.flippedHorizontally(), "\(item)")

      var floats = [Float](repeating: .nan, count: count)
      try floats.withUnsafeMutableBufferPointer { buffer in
        let base = try #require(buffer.baseAddress)
        try resampler.resample(
          source, box: box, width: item.width, height: item.height, filter: filter, into: base)
      }
      #expect(zip(floats, image.pixels).allSatisfy { abs($0 - Float($1)) <= 0.5 }, "\(item)")
      #expect(floats.allSatisfy { $0 >= 0 && $0 <= 255 })
    }
    #expect(expected.isEmpty)
  }

  @Test func tinyAndNarrowImagesAreReadWithinTheirMemory() throws {
    for (width, height) in [(1, 1), (1, 40), (2, 3), (40, 1), (5, 2)] {
      let image = Image(width: width, height: height, color: (10, 200, 90))
      for filter in ResampleFilter.allCases {
        let resized = try image.resized(width: 7, height: 5, filter: filter)
        #expect(resized == Image(width: 7, height: 5, color: (10, 200, 90)))
      }
    }
    // So many pixels into one that the weights of a target pixel are thousands.
    let long = try Image(width: 9001, height: 2, color: (1, 128, 255)).resized(width: 1, height: 1)
    #expect(try #require(largestDifference(long.pixels, [1, 128, 255])) <= 1)
  }

  @Test func impossibleBoxesAndSizesAreRefused() throws {
    let image = scene(width: 20, height: 10)
    for box in [
      Box(x: -1, y: 0, width: 5, height: 5), Box(x: 0, y: 0, width: 21, height: 5),
      Box(x: 0, y: 8, width: 5, height: 2.5), Box(x: 0, y: 0, width: 0, height: 5),
      Box(x: .nan, y: 0, width: 5, height: 5), Box(x: 0, y: 0, width: .infinity, height: 5),
    ] {
      #expect(imagingError { try image.resized(width: 4, height: 4, box: box) } != nil, "\(box)")
    }
    #expect(imagingError { try image.resized(width: 0, height: 4) } != nil)
    #expect(imagingError { try image.resized(width: 1 << 20, height: 1 << 20) } != nil)
  }
}

@Suite struct CropDecoderTests {
  @Test func cropIsDecodeThenCropThenResize() throws {
    let bytes = try scene(width: 331, height: 277).jpeg(quality: 85)
    let whole = try Image(decoding: bytes)
    let decoder = CropDecoder()
    for (index, crop) in [
      Region(x: 40, y: 30, width: 200, height: 180), Region(x: 131, y: 77, width: 200, height: 200),
      Region(x: 7, y: 9, width: 50, height: 40),
    ].enumerated() {
      let flipped = index % 2 == 0
      var floats = [Float](repeating: .nan, count: 64 * 64 * 3)
      try decode(decoder, bytes, crop, flipped: flipped, scaled: false, &floats)
      let resized = try whole.cropped(to: crop).resized(width: 64, height: 64)
      let expected = flipped ? resized.flippedHorizontally() : resized
      #expect(zip(floats, expected.pixels).allSatisfy { abs($0 - Float($1)) <= 0.5 })

      try decode(decoder, bytes, crop, flipped: flipped, scaled: true, &floats)
      let mean = zip(floats, expected.pixels).reduce(0) { $0 + abs($1.0 - Float($1.1)) } / Float(floats.count)
      #expect(mean < 4)
    }
  }

  @Test func twoViewsComeFromOneDecoding() throws {
    let bytes = try scene(width: 331, height: 277).jpeg(quality: 85)
    let decoder = CropDecoder()
    let region = Region(x: 40, y: 30, width: 200, height: 180)
    var (large, small) = (
      [Float](repeating: 0, count: 64 * 64 * 3), [Float](repeating: 0, count: 32 * 32 * 3)
    )
    try bytes.withUnsafeBytes { bytes in
      let crop = try decoder.decode(bytes, crop: region, width: 64, height: 64)
      try large.withUnsafeMutableBufferPointer {
        try decoder.resample(crop, width: 64, height: 64, into: try #require($0.baseAddress))
      }
      try small.withUnsafeMutableBufferPointer {
        try decoder.resample(
          crop, width: 32, height: 32, filter: .lanczos, into: try #require($0.baseAddress))
      }
    }
    let whole = try Image(decoding: bytes).cropped(to: region)
    let expected = try whole.resized(width: 32, height: 32, filter: .lanczos)
    #expect(zip(small, expected.pixels).allSatisfy { abs($0 - Float($1)) <= 0.5 })
    #expect(large.contains { $0 > 0 })
  }

  @Test func truncatedImageIsAnError() throws {
    let whole = try scene(width: 331, height: 277).jpeg()
    var floats = [Float](repeating: 0, count: 64 * 64 * 3)
    let error = imagingError {
      try decode(
        CropDecoder(), Array(whole.prefix(whole.count / 2)), nil, flipped: false, scaled: true, &floats)
    }
    #expect(error?.problem.contains("ends before the image does") == true)
  }

  private func decode(
    _ decoder: CropDecoder, _ bytes: [UInt8], _ crop: Region?, flipped: Bool, scaled: Bool,
    _ floats: inout [Float]
  ) throws {
    try bytes.withUnsafeBytes { bytes in
      try floats.withUnsafeMutableBufferPointer {
        _ = try decoder.decode(
          bytes, crop: crop, width: 64, height: 64, flipped: flipped, scaledDecoding: scaled,
          into: try #require($0.baseAddress))
      }
    }
  }
}
