import ArgumentParser

/// What a shell offers for the files that options name.
extension CompletionKind {
  /// Datasets, token files, checkpoints; and folders on the way, which may be runs.
  package static var hdf5: CompletionKind { .file(extensions: ["h5"]) }
  /// Weights of others, in the forms that can be read.
  package static var weights: CompletionKind {
    .file(extensions: ["safetensors", "json", "pth", "pt", "bin"])
  }
  /// Weights of others in one file.
  package static var safetensors: CompletionKind { .file(extensions: ["safetensors"]) }
  /// Figures.
  package static var png: CompletionKind { .file(extensions: ["png"]) }
  /// Configurations.
  package static var yaml: CompletionKind { .file(extensions: ["yaml", "yml"]) }
}
