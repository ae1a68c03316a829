import Tensors

extension ImageDataset {
  /// Hands over every image of a range once a view, batch by batch and in order; the last batch is perhaps smaller.
  ///
  /// For each batch all views follow one another.
  ///
  /// - Parameters:
  ///   - pipeline: How images become batches.
  ///   - range: The images; nil for all.
  ///   - batchSize: Images in a batch.
  ///   - views: Views of each image.
  ///   - tokens: A file whose tokens go with the views.
  ///   - options: How the loader works.
  ///   - goesOn: Asked before every batch is handed over; false ends the iteration.
  ///   - body: Is given each batch.
  /// - Returns: Whether all batches were handed over.
  @discardableResult
  public func forEachBatch(
    _ pipeline: SamplePipeline, range: Range<Int>? = nil, batchSize: Int, views: Int = 1,
    tokens: TokenFile? = nil, options: Loader.Options = Loader.Options(), while goesOn: () -> Bool = { true },
    _ body: (Batch) throws -> Void
  ) throws -> Bool {
    if let range, range.isEmpty { return true }
    let loader = try Loader(
      sequenceOf: self, pipeline, range: range, batchSize: batchSize, views: views, tokens: tokens,
      options: options)
    return try loader.handOver(while: goesOn, body)
  }

  /// Hands over some images in the order given, batch by batch; the last batch is perhaps smaller.
  ///
  /// - Parameters:
  ///   - samples: Indices in the dataset.
  ///   - pipeline: How images become batches.
  ///   - batchSize: Images in a batch.
  ///   - options: How the loader works.
  ///   - goesOn: Asked before every batch is handed over; false ends the iteration.
  ///   - body: Is given each batch.
  /// - Returns: Whether all batches were handed over.
  @discardableResult
  public func forEachBatch(
    of samples: [Int], _ pipeline: SamplePipeline, batchSize: Int = 8,
    options: Loader.Options = Loader.Options(), while goesOn: () -> Bool = { true },
    _ body: (Batch) throws -> Void
  ) throws -> Bool {
    guard !samples.isEmpty else { return true }
    let loader = try Loader(of: samples, in: self, pipeline, batchSize: batchSize, options: options)
    return try loader.handOver(while: goesOn, body)
  }
}

extension Loader {
  fileprivate func handOver(while goesOn: () -> Bool, _ body: (Batch) throws -> Void) throws -> Bool {
    defer { stop() }
    while let batch = try next() {
      guard goesOn() else { return false }
      try body(batch)
    }
    return true
  }
}

extension Batch {
  /// The model's view, which the pipeline must have been asked for.
  public var requiredImages: Tensor {
    get throws { try required(images, "the model's view") }
  }

  /// The tokenizer's view, which the pipeline must have been asked for.
  public var requiredTokenizerImages: Tensor {
    get throws { try required(tokenizerImages, "the tokenizer's view") }
  }

  /// The model's second view, which the pipeline must have been asked for.
  public var requiredSecondImages: Tensor {
    get throws { try required(secondImages, "the model's second view") }
  }

  /// The tokens at all patches, [batch · patches], which the loader must have been given.
  public var requiredTokens: [Int32] {
    get throws { try required(tokens, "tokens") }
  }

  private func required<Value>(_ value: Value?, _ name: String) throws -> Value {
    guard let value else { throw DatasetError("batch", "the pipeline does not make \(name)") }
    return value
  }
}
