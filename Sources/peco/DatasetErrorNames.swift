import Datasets

extension DatasetError {
  /// The error in the words of the command line: its options and commands.
  var worded: DatasetError {
    named { field in
      switch field {
      case .shortSide: "--short-side"
      case .quality: "--quality"
      case .imageCount: "--count"
      case .imageSide: "--size"
      case .workers: "--workers"
      case .input: "--input"
      case .subset: "--subset"
      case .strictness: "--strict"
      case .dataset: "`peco dataset prepare`"
      case .tokens: "`peco tokenizer encode`"
      default: nil
      }
    }
  }
}
