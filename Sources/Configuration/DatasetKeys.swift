import Datasets

extension DatasetError.Field {
  /// The configuration's key, or the command, that a field of `Datasets` is known by.
  public var key: String? {
    switch self {
    case .imageSize: "data.image_size"
    case .tokenizerImageSize: "tokens.image_size"
    case .normalization: "data.mean, data.std"
    case .colorJitter: "data.color_jitter"
    case .cropScale: "data.crop_scale"
    case .erasing: "augmentation.erasing"
    case .globalBatchSize: "training.global_batch_size"
    case .microBatchSize: "training.micro_batch_size"
    case .workers: "data.workers"
    case .mask: "masking"
    case .maskedPatches: "masking.count"
    case .smallestBlock: "masking.minimum_block"
    case .blockAspect: "masking.aspect"
    case .dataset: "`peco dataset prepare`"
    case .tokens: "`peco tokenizer encode`"
    case .prefetch, .shortSide, .quality, .imageCount, .imageSide, .input, .subset, .strictness: nil
    }
  }
}

/// Runs a body whose errors about datasets name settings as configurations do.
public func namingKeys<Result>(_ body: () throws -> Result) throws -> Result {
  do {
    return try body()
  } catch let error as DatasetError {
    throw error.named(\.key)
  }
}
