import Foundation
import Storage
import Testing

@Suite struct FullWriteTests {
  @Test func writesAtThePositionOrAtAPlace() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/file"
      let descriptor = open(path, O_RDWR | O_CREAT, 0o600)
      defer { close(descriptor) }
      try Array("abcdef".utf8).withUnsafeBytes { try FullWrite.write($0, to: descriptor) }
      try Array("XY".utf8).withUnsafeBytes { try FullWrite.write($0, to: descriptor, at: 2) }
      try Array("g".utf8).withUnsafeBytes { try FullWrite.write($0, to: descriptor) }
      #expect(try FileSystem.readText(path) == "abXYefg")
    }
  }

  @Test func tellsWhyItCannot() throws {
    let descriptor = open("/dev/null", O_RDONLY)
    defer { close(descriptor) }
    let failure = #expect(throws: SystemFailure.self) {
      try [UInt8(1)].withUnsafeBytes { try FullWrite.write($0, to: descriptor) }
    }
    #expect(failure?.code == EBADF)
  }
}
