@_spi(TensorMemory) import Tensors
import TestSupport
import Testing

@Suite struct TensorTests {
  @Test func elementsAreInRowMajorOrder() {
    let x = Tensor([1, 2, 3, 4, 5, 6], shape: [2, 3])
    #expect(x.count == 6 && x.shape == [2, 3])
    #expect((0..<6).map { x.pointer[$0] } == [1, 2, 3, 4, 5, 6])
    #expect(Tensor(2.5).item == 2.5 && Tensor(2.5).shape.isEmpty)
    #expect(Tensor([0, 4]).elements.isEmpty)
  }

  @Test func viewsShareMemory() {
    let x = Tensor([8], filledWith: 1)
    let window = x.view(at: 2, shape: [2, 2])
    window.fill(5)
    #expect(x.elements == [1, 1, 5, 5, 5, 5, 1, 1])
    let copy = window.copy()
    copy.fill(0)
    #expect(window.elements == [5, 5, 5, 5])
    #expect(x.reshaped([4, 2]).view(at: 6, shape: [2]).elements == [1, 1])
  }

  @Test func rowsAreWindows() {
    let x = Tensor((0..<12).map { Float($0) }, shape: [3, 2, 2])
    #expect(x[row: 1].shape == [2, 2] && x[row: 1].elements == [4, 5, 6, 7])
    #expect(x[rows: 1..<3].shape == [2, 2, 2] && x[rows: 1..<3].elements == (4..<12).map { Float($0) })
    #expect(x[rows: 3..<3].elements.isEmpty)
    x[row: 2].fill(1)
    #expect(x.elements == [0, 1, 2, 3, 4, 5, 6, 7, 1, 1, 1, 1])
  }

  @Test func aViewHandsOutItsWindowOnly() {
    let x = Tensor((0..<10).map { Float($0) }, shape: [10])
    let window = x.view(at: 3, shape: [2, 2])
    #expect(window.withUnsafeElements { Array($0) } == [3, 4, 5, 6])
    let place = x.withUnsafeElements { $0.baseAddress.map { $0 + 3 } }
    #expect(window.withUnsafeElements { $0.baseAddress } == place)
    window.withUnsafeMutableElements { elements in
      #expect(elements.count == 4)
      for i in elements.indices { elements[i] = -1 }
    }
    #expect(x.elements == [0, 1, 2, -1, -1, -1, -1, 7, 8, 9])
  }

  @Test func anEmptyTensorHandsOutAnAddress() {
    for empty in [Tensor([0]), Tensor([4, 0]), Tensor([5]).view(at: 5, shape: [0])] {
      #expect(empty.withUnsafeElements { $0.isEmpty && $0.baseAddress != nil })
      #expect(empty.withUnsafeMutableElements { $0.isEmpty && $0.baseAddress != nil })
    }
  }

  @Test func whatTheBodyThrowsComesThrough() {
    struct Refused: Error {}
    let x = Tensor([2], filledWith: 1)
    #expect(throws: Refused.self) { try x.withUnsafeElements { _ in throw Refused() } }
    #expect(throws: Refused.self) {
      try x.withUnsafeMutableElements {
        $0[0] = 2
        throw Refused()
      }
    }
    #expect(x.elements == [2, 1])
  }

  @Test func elementsAreOverwritten() {
    let x = Tensor([2, 2])
    x.copyElements(from: [1, 2, 3, 4])
    #expect(x.elements == [1, 2, 3, 4])
    x[row: 1].copyElements(from: [5, 6])
    #expect(x.elements == [1, 2, 5, 6])
  }

  @Test func aViewOutlivesItsTensor() {
    func window() -> Tensor {
      Tensor(Array(0..<1000).map { Float($0) }, shape: [1000]).view(at: 990, shape: [10])
    }
    let view = window()
    _ = (0..<10).map { _ in Tensor([1000], filledWith: -1) }
    #expect(view.elements == (990..<1000).map { Float($0) })
  }

  @Test func largeTensorsAreFilledWhole() {
    useSeveralThreads()
    let x = Tensor([1_000_003], filledWith: 3)
    #expect(x.elements.allSatisfy { $0 == 3 })
    let y = Tensor(uninitialized: [1_000_003])
    y.copyElements(from: x)
    #expect(y.elements == x.elements)
  }

  // Sizes that nothing else in this process asks for.
  @Test func blocksAreHandedOutAgain() {
    func address() -> UInt { UInt(bitPattern: Tensor(uninitialized: [9_123_457]).pointer) }
    let first = address()
    #expect(address() == first)
    #expect(first % 64 == 0)
  }

  @Test func blocksInUseAreNotSharedOut() {
    let count = 5_432_109
    let tensors = (0..<4).map { Tensor([count], filledWith: Float($0)) }
    #expect(
      tensors.enumerated().allSatisfy { $1.pointer[0] == Float($0) && $1.pointer[count - 1] == Float($0) })
  }

  @Test func usageCountsWhatIsHandedOut() {
    let bytes = 777 << 20
    let before = ExecutionContext.current.memory.usage
    let tensor = Tensor(uninitialized: [bytes / 4])
    let during = ExecutionContext.current.memory.usage
    #expect(during.inUse >= bytes && during.peak >= during.inUse && during.reserved >= before.reserved)
    #expect(tensor.count == bytes / 4)
  }
}
