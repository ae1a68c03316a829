/// A named tensor of a model that training changes, or that is saved with it.
public final class Parameter {
  /// What changes a parameter.
  public enum Kind: Sendable {
    /// The optimizer, following the gradient.
    case trained
    /// The model itself (a codebook's moving averages); saved in checkpoints, without gradient.
    case state
    /// Nothing (the weights of a perceptual network); neither trained nor saved.
    case frozen
  }

  /// What a parameter does in its layer, whatever it is called.
  public enum Role: Sendable, CaseIterable {
    /// A matrix, a kernel or a table of embeddings that inputs are mapped by.
    case weight
    /// Added to what a layer gives.
    case bias
    /// Scale or shift of a normalization.
    case norm
    /// Scale of a residual branch (Touvron et al., 2103.17239).
    case layerScale
    /// A token that stands for no patch: class token, mask token.
    case token
    /// Added to tokens by where they lie.
    case positionEmbedding
    /// Added to attention by where one token lies as seen from another.
    case relativePositionBias
    /// Entries of a codebook.
    case codebook
    /// What a layer has counted or averaged.
    case statistic
  }

  /// Path of the parameter in its model, such as `blocks.0.attn.qkv.weight`.
  public let name: String
  /// Sizes of the axes, as PyTorch lays the same weight out.
  public let shape: [Int]
  /// What changes it.
  public let kind: Kind
  /// What it does in its layer.
  public let role: Role
  /// How far from the images it lies, for rates that fall toward them: 0 for what embeds the images, i + 1 for block i,
  /// one more than the last block's for all after it. Nil where the model does not tell.
  public let depth: Int?
  /// The value. Moves into the flat buffer when `FlatParameters` takes the model over.
  public internal(set) var value: Tensor
  /// The gradient so far, to be added to; nil if the parameter is not being trained.
  public internal(set) var gradient: Tensor?
  /// Place in the layout of `FlatParameters`.
  public internal(set) var index = 0

  /// A parameter with a value of its own.
  public init(name: String, kind: Kind, role: Role, depth: Int? = nil, value: Tensor) {
    self.name = name
    self.shape = value.shape
    self.kind = kind
    self.role = role
    self.depth = depth
    self.value = value
  }

  /// Number of elements.
  public var count: Int { value.count }

  /// A parameter of the same value, in the same memory, that gets no gradient: for passes that go through a model
  /// without training it. Good until the value moves.
  public var held: Parameter {
    Parameter(name: name, kind: .frozen, role: role, depth: depth, value: value)
  }

  /// Gives the parameter a gradient of its own, zero at first; for use without `FlatParameters`.
  public func enableGradient() {
    if kind == .trained { gradient = Tensor(shape) }
  }
}

/// How a parameter starts.
public enum Initializer: Sendable {
  case zeros
  case ones
  case constant(Float)
  /// Normal with a standard deviation, cut at `bound` deviations.
  case truncatedNormal(_ deviation: Float, bound: Float = 1)
  case normal(_ deviation: Float)
  /// Uniform in [-limit, limit].
  case uniform(_ limit: Float)
  /// These, in row-major order.
  case values(_ elements: [Float])

  /// Elements that share a stream of random numbers. Fixed, so that a weight does not depend on the threads.
  private static let block = 1 << 14

  /// Fills a tensor; random elements are drawn from streams that belong to the seed, the name and their block.
  func fill(_ tensor: Tensor, seed: UInt64, name: String) {
    let draw: (inout RandomStream) -> Float
    switch self {
    case .zeros: return tensor.fill(0)
    case .ones: return tensor.fill(1)
    case .constant(let value): return tensor.fill(value)
    case .values(let elements): return tensor.copyElements(from: elements)
    case .truncatedNormal(let deviation, let bound):
      draw = { $0.truncatedNormal(deviation: deviation, bound: bound) }
    case .normal(let deviation): draw = { deviation * $0.normal() }
    case .uniform(let limit): draw = { $0.uniform(-limit, limit) }
    }
    ThreadPool.current.forEach((tensor.count + Self.block - 1) / Self.block) {
      [pointer = tensor.pointer] index in
      var stream = RandomStream(seed: seed, purpose: .initialWeight, name: "\(name)/\(index)")
      for i in index * Self.block..<min((index + 1) * Self.block, tensor.count) { pointer[i] = draw(&stream) }
    }
  }
}

/// The place in a model where parameters are made: a path for their names, and the list they gather in.
///
///     let scope = ParameterScope(seed: 0)
///     let projection = Linear(768, 3072, in: scope / "blocks.0.mlp" / "fc1")
///     scope.parameters  // blocks.0.mlp.fc1.weight, blocks.0.mlp.fc1.bias
///
/// Modules make their parameters in the order in which forward uses them. The value of a parameter depends on
/// the seed and its name alone.
public struct ParameterScope {
  private final class Registry {
    var parameters: [Parameter] = []
    var names: Set<String> = []
  }

  private let registry: Registry
  private let seed: UInt64
  private let path: String
  private let depth: Int?
  private let isFrozen: Bool
  private let isUntrained: Bool

  /// The root of a model. `frozen`: its parameters are not trained and not saved.
  public init(seed: UInt64, frozen: Bool = false) {
    registry = Registry()
    self.seed = seed
    path = ""
    depth = nil
    isFrozen = frozen
    isUntrained = false
  }

  private init(_ parent: ParameterScope, path: String? = nil, depth: Int? = nil, untrained: Bool = false) {
    registry = parent.registry
    seed = parent.seed
    isFrozen = parent.isFrozen
    isUntrained = parent.isUntrained || untrained
    self.path = path ?? parent.path
    self.depth = depth ?? parent.depth
  }

  /// The same place for what training leaves alone, but checkpoints save: weights that stay as they were drawn, or that
  /// the model itself changes. All that is made in it is `state`.
  public var untrained: ParameterScope { ParameterScope(self, untrained: true) }

  /// The same place for what lies at a depth of the model (`Parameter.depth`). All that is made in it has that depth.
  public func at(depth: Int) -> ParameterScope { ParameterScope(self, depth: depth) }

  /// The scope named `component` inside this one.
  public static func / (scope: ParameterScope, component: String) -> ParameterScope {
    ParameterScope(scope, path: scope.path.isEmpty ? component : scope.path + "." + component)
  }

  /// The scope numbered `index` inside this one, as in `blocks.0`.
  public static func / (scope: ParameterScope, index: Int) -> ParameterScope { scope / String(index) }

  /// Everything made so far, in order.
  public var parameters: [Parameter] { registry.parameters }

  /// Makes a parameter that training changes.
  public func parameter(
    _ name: String, _ shape: [Int], _ initializer: Initializer, role: Parameter.Role
  ) -> Parameter {
    make(name, shape, initializer, kind: isFrozen ? .frozen : isUntrained ? .state : .trained, role: role)
  }

  /// Makes a tensor that the model itself keeps up to date and checkpoints save.
  public func state(
    _ name: String, _ shape: [Int], _ initializer: Initializer, role: Parameter.Role = .statistic
  ) -> Parameter {
    make(name, shape, initializer, kind: isFrozen ? .frozen : .state, role: role)
  }

  private func make(
    _ name: String, _ shape: [Int], _ initializer: Initializer, kind: Parameter.Kind, role: Parameter.Role
  ) -> Parameter {
    let name = path.isEmpty ? name : path + "." + name
    precondition(registry.names.insert(name).inserted, "two parameters are named \(name)")
    let value = Tensor(uninitialized: shape)
    initializer.fill(value, seed: seed, name: name)
    let parameter = Parameter(name: name, kind: kind, role: role, depth: depth, value: value)
    registry.parameters.append(parameter)
    return parameter
  }
}

/// The trained parameters of a model in one flat buffer, and their gradients in another of the same layout.
///
/// The order is that in which backward finishes, the reverse of forward's, so that the gradients which are
/// ready first lie together and a bucket of them is one slice.
public final class FlatParameters {
  /// The trained parameters in layout order.
  public let parameters: [Parameter]
  /// Where each lies, in elements; starts are multiples of 16.
  public let ranges: [Range<Int>]
  /// All values; gaps between parameters are zero.
  public let values: Tensor
  /// All gradients; gaps between parameters are zero.
  public let gradients: Tensor

  /// Moves the trained ones among `parameters` into flat buffers.
  public init(_ parameters: [Parameter]) {
    let trained = Array(parameters.filter { $0.kind == .trained }.reversed())
    var ranges: [Range<Int>] = []
    var end = 0
    for parameter in trained {
      ranges.append(end..<end + parameter.count)
      end += (parameter.count + 15) / 16 * 16
    }
    values = Tensor([end])
    gradients = Tensor([end])
    for (index, (parameter, range)) in zip(trained, ranges).enumerated() {
      let view = values.view(at: range.lowerBound, shape: parameter.shape)
      view.copyElements(from: parameter.value)
      parameter.value = view
      parameter.gradient = gradients.view(at: range.lowerBound, shape: parameter.shape)
      parameter.index = index
    }
    self.parameters = trained
    self.ranges = ranges
  }

  /// Number of elements with the gaps.
  public var count: Int { values.count }
}
