import Configuration
import DVAETraining
import TokenizerSupport
import VQVAETraining

/// The configuration of `peco tokenizer train`: what all tokenizers have, and each family's own.
public struct TokenizerConfiguration: RunConfiguration {
  /// Every family of tokenizers there is; the first is the default. A new one is entered here.
  package static let families: [any TokenizerFamily.Type] = [VQVAEFamily.self, DVAEFamily.self]

  /// What all tokenizers have.
  public var settings: TokenizerSettings
  /// `model.kind`: the family of the tokenizer.
  public let kind: String
  /// What each family's keys say.
  private let members: [any TokenizerFamily]

  public var shared: SharedConfiguration { settings.shared }

  /// The family of the tokenizer.
  package var family: any TokenizerFamily { members.first { type(of: $0).kind == kind } ?? members[0] }

  /// What a family's keys say, whatever the tokenizer is.
  public func member<Family: TokenizerFamily>(_ family: Family.Type = Family.self) -> Family? {
    members.lazy.compactMap { $0 as? Family }.first
  }

  public init(_ reader: ConfigurationReader) {
    settings = TokenizerSettings(reader)
    let kinds = Self.families.map { $0.kind }
    let kind = reader.value("model.kind", .choice(of: kinds), default: kinds[0])
    self.kind = kind
    for family in Self.families where family.kind == kind { family.setDefaults(of: &settings) }
    settings.readSizes(reader)
    members = Self.families.map { $0.init(reader) }
    settings.readLosses(reader)

    let likelihoods = Self.families.filter { $0.hasLikelihood }.map { $0.kind }
    reader.require(
      settings.loss.pixel != .logitLaplace || likelihoods.contains(kind), "loss.pixel",
      "found logit_laplace, which needs the distribution that only model.kind "
        + "\(likelihoods.joined(separator: " and ")) gives; expected l1 or l2")
    for member in members {
      let family = type(of: member)
      member.validate(settings, isChosen: family.kind == kind, reader)
      reader.requireEffect(of: family.ownKeys, family.kind == kind, needed: "model.kind \(family.kind)")
    }
  }

  public static func == (a: TokenizerConfiguration, b: TokenizerConfiguration) -> Bool {
    a.kind == b.kind && a.settings == b.settings
      && zip(a.members, b.members).allSatisfy { $0.isEqual(to: $1) }
  }
}
