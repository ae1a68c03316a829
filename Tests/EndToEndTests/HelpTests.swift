import Foundation
import Testing

/// What `peco help` says of every command, read as a program reads it.
@Suite struct HelpTests {
  private struct Dump: Decodable { let command: Command }
  private struct Command: Decodable {
    let commandName: String
    let abstract: String?
    let discussion: String?
    let arguments: [Argument]?
    let subcommands: [Command]?
  }
  private struct Argument: Decodable {
    struct Name: Decodable { let name: String }
    struct Completion: Decodable {
      struct Files: Decodable {}
      let file: Files?
      let directory: Files?
    }
    let kind: String
    let isOptional: Bool
    let names: [Name]?
    let valueName: String?
    let defaultValue: String?
    let abstract: String?
    let completionKind: Completion?
  }

  /// All commands with their names from `peco` on.
  private func commands() throws -> [(name: String, command: Command)] {
    let run = try Workshop().peco(["--experimental-dump-help"])
    let dump = try JSONDecoder().decode(Dump.self, from: Data(run.output.utf8))
    func below(_ command: Command, _ path: [String]) -> [(name: String, command: Command)] {
      let path = path + [command.commandName]
      let others = (command.subcommands ?? []).filter { $0.commandName != "help" }
      return [(path.joined(separator: " "), command)] + others.flatMap { below($0, path) }
    }
    return below(dump.command, [])
  }

  @Test func `every command says what it does, and every option what it means`() throws {
    let commands = try commands()
    #expect(commands.count > 30)
    for (name, command) in commands {
      #expect(command.abstract?.hasSuffix(".") == true, "\(name) has no abstract")
      let discussion = command.discussion ?? ""
      #expect(discussion.contains("  peco ") || discussion.contains("-- peco "), "\(name) has no example")
      for line in discussion.split(separator: "\n") where line.hasPrefix(" ") {
        #expect(line.count <= 80, "\(name) has an example that terminals break: \(line)")
      }
      for argument in command.arguments ?? [] {
        let option = "\(name): \(argument.names?.first?.name ?? argument.valueName ?? "")"
        let help = argument.abstract ?? ""
        #expect(help.hasSuffix("."), "\(option) has no help")
        if argument.kind == "option", argument.isOptional, argument.defaultValue == nil {
          #expect(help.contains("default"), "\(option) does not say what holds without it")
        }
        if Self.names(aPath: argument) {
          let kind = argument.completionKind
          #expect(kind?.file != nil || kind?.directory != nil, "\(option) is not completed as a path")
        }
      }
    }
  }

  private static func names(aPath argument: Argument) -> Bool {
    let value = argument.valueName ?? ""
    return argument.kind != "flag"
      && (value.contains(".") && value != "key.path=value"
        || ["checkpoint", "directory", "file"].contains(value))
  }

  @Test func `every example is one that the program takes`() throws {
    let workshop = try Workshop()
    for (name, command) in try commands() {
      let lines = (command.discussion ?? "").replacing("\\\n", with: " ").split(separator: "\n")
      for line in lines where line.hasPrefix(" ") {
        let words = line.split(separator: " ").map(String.init)
        guard let start = words.firstIndex(of: "peco") else { continue }
        // The files are not there, and the threads are none: it gets no further than its arguments.
        let run = try workshop.run(
          [try Workshop.pecoPath()] + words[(start + 1)...], environment: ["PECO_THREADS": "none"])
        #expect(run.exitCode != 64, "an example of \(name) is refused: \(line)\n\(run)")
      }
    }
  }

  @Test(arguments: ["bash", "zsh", "fish"]) func `shells get a completion script`(shell: String) throws {
    let run = try Workshop().peco(["--generate-completion-script", shell])
    #expect(run.exitCode == 0 && run.output.contains("peco") && run.output.contains("safetensors"), "\(run)")
  }

  @Test func `the version is the changelog's`() throws {
    let project = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "../..")
    func text(_ name: String) throws -> String {
      try String(contentsOf: project.appending(path: name), encoding: .utf8)
    }
    let run = try Workshop().peco(["--version"])
    let version = run.output.trimmingCharacters(in: .whitespacesAndNewlines)
    let entry = try #require(try text("CHANGELOG.md").firstMatch(of: #/## \[([0-9.]+)\](.*)/#))
    #expect(version == entry.output.1 + (entry.output.2.contains("unreleased") ? "-dev" : ""))
    #expect(try text("CITATION.cff").contains("version: \(entry.output.1)\n"))
  }
}
