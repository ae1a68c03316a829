import Hashing
import Testing

@Suite struct XXHash64Tests {
  @Test func knownValues() {
    #expect(XXHash64.hash([UInt8]()) == 0xEF46_DB37_51D8_E999)
    #expect(XXHash64.hash(Array("a".utf8)) == 0xD24E_C4F1_A98C_6E5B)
    #expect(XXHash64.hash(Array("abc".utf8)) == 0x44BC_2CF5_AD77_0999)
    #expect(
      XXHash64.hash(Array("Nobody inspects the spammish repetition".utf8)) == 0xFBCE_A83C_8A37_8BF1)
    #expect(XXHash64.hash(Array("xxhash".utf8), seed: 20_141_025) == 13_067_679_811_253_438_005)
  }

  @Test func cuttingIntoPiecesMakesNoDifference() {
    let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 * 31 + $0 / 7) }
    let whole = XXHash64.hash(bytes)
    for size in [1, 3, 8, 31, 32, 33, 100, 999] {
      var hash = XXHash64()
      for start in stride(from: 0, to: bytes.count, by: size) {
        Array(bytes[start..<min(start + size, bytes.count)]).withUnsafeBytes { hash.update($0) }
      }
      #expect(hash.value == whole, "pieces of \(size)")
    }
    var damaged = bytes
    damaged[500] ^= 1
    #expect(XXHash64.hash(damaged) != whole)
  }

  @Test func aCopyGoesItsOwnWay() {
    var first = XXHash64(seed: 5)
    Array("ab".utf8).withUnsafeBytes { first.update($0) }
    var second = first
    Array("c".utf8).withUnsafeBytes { second.update($0) }
    #expect(first.value == XXHash64.hash(Array("ab".utf8), seed: 5))
    #expect(second.value == XXHash64.hash(Array("abc".utf8), seed: 5))
    second.update(UnsafeRawBufferPointer(start: nil, count: 0))
    #expect(second.value == XXHash64.hash(Array("abc".utf8), seed: 5))
  }
}
