import ArgumentParser

@main
struct Peco: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "peco")
}
