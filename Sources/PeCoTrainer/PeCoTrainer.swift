// All that another package needs to train a model of its own: `import PeCoTrainer`.
//
// Not `PeCo`, which a file system that does not tell cases apart would take for the command.
@_exported import Communication
@_exported import Configuration
@_exported import Datasets
@_exported import Evaluation
@_exported import ImageOperations
@_exported import Imaging
@_exported import Interoperability
@_exported import Layers
@_exported import Models
@_exported import Operations
@_exported import Preparation
@_exported import TaskSupport
@_exported import Tensors
@_exported import Terminal
@_exported import Threads
@_exported import Trainer
