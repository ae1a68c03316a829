import Foundation
import Storage
import Tensors

/// The checkpoints of a run, in one folder: `step-000001234.h5`, of which the newest stay.
///
/// Only one process of a run writes; any may look.
public struct CheckpointStore: Sendable {
  /// The folder, `RUN/checkpoints`.
  public let directory: String
  /// How many of the newest stay.
  public let keep: Int

  /// A sound checkpoint.
  public struct Found: Sendable, Equatable {
    /// The file.
    public let path: String
    /// What it says about itself.
    public let header: CheckpointHeader
  }

  /// A checkpoint that could not be used.
  public struct PassedOver: Sendable, CustomStringConvertible {
    /// The file.
    public let path: String
    /// What is wrong with it.
    public let reason: String

    public var description: String { reason.hasPrefix(path) ? reason : "\(path): \(reason)" }
  }

  /// The checkpoints in a folder, which need not exist yet.
  public init(directory: String, keep: Int = 3) {
    self.directory = directory
    self.keep = max(1, keep)
  }

  /// Makes the folder.
  public func makeFolder() throws { try FileSystem.makeFolder(directory) }

  /// Removes what writers that died left in the folder. For the one process that writes.
  ///
  /// - Returns: The names of the files removed.
  @discardableResult
  public func removePartialFiles() throws -> [String] { try FileSystem.removePartialFiles(in: directory) }

  /// The path of a step's checkpoint.
  public func path(step: Int) -> String {
    let digits = String(step)
    let zeros = String(repeating: "0", count: max(0, 9 - digits.count))
    return (directory as NSString).appendingPathComponent("step-\(zeros)\(digits).h5")
  }

  /// The checkpoints there are, by step, oldest first. Sound or not.
  public func list() throws -> [(step: Int, path: String)] {
    guard FileManager.default.fileExists(atPath: directory) else { return [] }
    let names: [String]
    do {
      names = try FileManager.default.contentsOfDirectory(atPath: directory)
    } catch {
      throw CheckpointError(
        path: directory, problem: "cannot list the folder: \(error.localizedDescription)")
    }
    return names.compactMap { name in
      guard name.hasPrefix("step-"), name.hasSuffix(".h5"),
        let step = Int(name.dropFirst(5).dropLast(3)), path(step: step).hasSuffix("/" + name)
      else { return nil }
      return (step, path(step: step))
    }.sorted { $0.step < $1.step }
  }

  /// Writes a checkpoint and then, once it is safe on the disk, removes those no longer wanted.
  ///
  /// - Returns: Its path.
  @discardableResult
  public func save(
    _ header: CheckpointHeader, units: [CheckpointUnit]
  ) throws -> String {
    let path = path(step: header.step)
    try Checkpoint.write(header, units: units, to: path)
    // What cannot even be opened again must not push out what can.
    guard try Checkpoint.header(of: path) == header else {
      throw CheckpointError(path: path, problem: "reads back differently from what was written")
    }
    // Those of later steps belong to a future that was given up by resuming from earlier; see `removeAll`.
    for old in try list().filter({ $0.step <= header.step }).dropLast(keep) {
      try remove(old.path)
    }
    return path
  }

  /// Removes the checkpoints after a step, when a run is taken up again from there.
  public func removeAll(after step: Int) throws {
    for later in try list() where later.step > step { try remove(later.path) }
  }

  /// The newest checkpoint whose every array reads back as it was written, if there is one, and the newer ones
  /// that were passed over.
  public func newestVerified() throws -> (found: Found?, passedOver: [PassedOver]) {
    var passedOver: [PassedOver] = []
    for (step, path) in try list().reversed() {
      do {
        let header = try Checkpoint.header(of: path)
        guard header.step == step else {
          throw CheckpointError(path: path, problem: "says it is of step \(header.step)")
        }
        return (Found(path: path, header: header), passedOver)
      } catch {
        passedOver.append(PassedOver(path: path, reason: "\(error)"))
      }
    }
    return (nil, passedOver)
  }

  private func remove(_ path: String) throws {
    do {
      try FileManager.default.removeItem(atPath: path)
    } catch {
      throw CheckpointError(
        path: path, problem: "cannot remove this old checkpoint: \(error.localizedDescription)",
        advice: "check the permissions of its folder")
    }
  }
}
