/// An error worded for the person at the terminal: what is wrong, where, and what to do.
public struct RunError: Error, CustomStringConvertible {
  public let description: String

  public init(_ description: String) { self.description = description }
}
