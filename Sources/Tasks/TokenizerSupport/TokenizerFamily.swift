import Models
import Tensors
import Trainer

/// A kind of tokenizer: how its model and its training are made of a configuration.
public struct TokenizerFamily: Sendable {
  /// The value of `model.kind`, which is also the name of the task in checkpoints.
  public let kind: TokenizerConfiguration.Model.Kind
  /// Makes the model that a configuration describes, its parameters in a scope.
  package let makeModel: @Sendable (TokenizerConfiguration, ParameterScope) throws -> any Tokenizer
  /// Makes the task of a configuration, with the network whose features are compared.
  package let makeTask:
    @Sendable (TokenizerConfiguration, (any PerceptualNetwork)?) throws -> any TrainingTask

  package init(
    _ kind: TokenizerConfiguration.Model.Kind,
    makeModel: @escaping @Sendable (TokenizerConfiguration, ParameterScope) throws -> any Tokenizer,
    makeTask:
      @escaping @Sendable (TokenizerConfiguration, (any PerceptualNetwork)?) throws
      -> any TrainingTask
  ) {
    (self.kind, self.makeModel, self.makeTask) = (kind, makeModel, makeTask)
  }
}
