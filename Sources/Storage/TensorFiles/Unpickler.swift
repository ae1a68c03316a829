import Foundation

/// A value of a pickle, as far as files of tensors have them.
package indirect enum PickleValue {
  case none
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case text(String)
  case tuple(PickleList)
  case list(PickleList)
  case dictionary(PickleDictionary)
  /// The name of a class or function, `module.name`. It is never looked up.
  case global(String)
  /// What the file keeps outside of the pickle, by its description.
  case persistent(PickleList)
  case tensor(PickledTensor)
  /// An object of a class that means nothing here, by its name: its contents are left out.
  case object(String)

  var integer: Int? { if case .integer(let value) = self { value } else { nil } }
  var integers: [Int]? {
    guard case .tuple(let list) = self else { return nil }
    let integers = list.values.compactMap(\.integer)
    return integers.count == list.values.count ? integers : nil
  }
}

/// A list or a tuple, which may be filled after others have taken hold of it.
package final class PickleList {
  package fileprivate(set) var values: [PickleValue] = []
}

/// A dictionary in its order, which may be filled after others have taken hold of it.
package final class PickleDictionary {
  package var entries: [(key: PickleValue, value: PickleValue)] = []
}

/// A tensor as a pickle describes it: a view of a storage outside.
package struct PickledTensor {
  /// The storage's key.
  let storage: String
  /// The type of its elements, as safetensors spells it.
  let type: String
  /// Elements of the storage.
  let storageCount: Int
  /// The first element.
  let offset: Int
  let shape: [Int]
  let strides: [Int]
}

/// Why bytes are no pickle of tensors.
package struct PickleError: Error {
  package let problem: String
}

/// Reads pickles as `torch.save` writes them, and executes nothing: of what a pickle can say, dictionaries, lists, numbers,
/// texts and the rebuilding of tensors are understood. An object of another class stays a name; any other instruction is
/// refused.
///
/// It owns all lists, tuples and dictionaries that it has read, and empties them when it goes: what came of them has to be
/// taken out before.
package final class Unpickler {
  private let bytes: UnsafeRawBufferPointer
  /// Where reading goes on.
  private(set) var position: Int
  /// The types of the elements of all storages that were described so far, by their keys.
  private(set) var storageTypes: [String: String] = [:]
  private var stack: [PickleValue] = []
  private var marks: [Int] = []
  private var memo: [Int: PickleValue] = [:]
  private var lists: [PickleList] = []
  private var dictionaries: [PickleDictionary] = []

  /// A reader of `bytes` from `position`.
  package init(_ bytes: UnsafeRawBufferPointer, at position: Int = 0) {
    self.bytes = bytes
    self.position = position
  }

  /// What holds itself would stay for good, and what lies a million deep would overflow the stack as one lets go of the
  /// next.
  deinit {
    for list in lists { list.values = [] }
    for dictionary in dictionaries { dictionary.entries = [] }
  }

  private func list(_ values: [PickleValue] = []) -> PickleList {
    let list = PickleList()
    list.values = values
    lists.append(list)
    return list
  }

  private func dictionary() -> PickleValue {
    let dictionary = PickleDictionary()
    dictionaries.append(dictionary)
    return .dictionary(dictionary)
  }

  /// Reads one pickle.
  package func read() throws -> PickleValue {
    (stack, marks, memo) = ([], [], [:])
    while true {
      let code = try byte()
      if code == UInt8(ascii: ".") { return try pop() }
      try perform(code)
    }
  }

  private func perform(_ code: UInt8) throws {
    switch code {
    // What surrounds.
    case 0x80: _ = try byte()
    case 0x95: _ = try take(8)
    // Values.
    case UInt8(ascii: "N"): stack.append(.none)
    case 0x88: stack.append(.bool(true))
    case 0x89: stack.append(.bool(false))
    case UInt8(ascii: "K"): stack.append(.integer(Int(try byte())))
    case UInt8(ascii: "M"): stack.append(.integer(try number(2)))
    case UInt8(ascii: "J"): stack.append(.integer(Int(Int32(truncatingIfNeeded: try number(4)))))
    case 0x8A: stack.append(try long(Int(try byte())))
    case 0x8B: stack.append(try long(try number(4)))
    case UInt8(ascii: "G"):
      let bits = try take(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      stack.append(.number(Double(bitPattern: bits)))
    case UInt8(ascii: "X"): stack.append(try text(try number(4)))
    case 0x8C, UInt8(ascii: "U"), UInt8(ascii: "C"): stack.append(try text(Int(try byte())))
    case UInt8(ascii: "T"), UInt8(ascii: "B"): stack.append(try text(try number(4)))
    case 0x8D, 0x8E: stack.append(try text(try number(8)))
    // Containers.
    case UInt8(ascii: "("): marks.append(stack.count)
    case UInt8(ascii: ")"): stack.append(.tuple(list()))
    case UInt8(ascii: "t"): stack.append(.tuple(list(try popToMark())))
    case 0x85...0x87:
      let count = Int(code - 0x84)
      guard stack.count >= count else { throw underflow }
      let values = Array(stack.suffix(count))
      stack.removeLast(count)
      stack.append(.tuple(list(values)))
    case UInt8(ascii: "]"): stack.append(.list(list()))
    case UInt8(ascii: "l"):
      stack.append(.list(list(try popToMark())))
    case UInt8(ascii: "}"): stack.append(dictionary())
    case 0x8F: stack.append(.list(list()))
    case UInt8(ascii: "a"):
      let value = try pop()
      try extend(with: [value])
    case UInt8(ascii: "e"), 0x90:
      let values = try popToMark()
      try extend(with: values)
    case UInt8(ascii: "s"):
      let (value, key) = (try pop(), try pop())
      try set([key, value])
    case UInt8(ascii: "u"):
      let pairs = try popToMark()
      try set(pairs)
    // What is used again.
    case UInt8(ascii: "q"):
      let number = Int(try byte())
      memo[number] = try top()
    case UInt8(ascii: "r"):
      let number = try number(4)
      memo[number] = try top()
    case 0x94: memo[memo.count] = try top()
    case UInt8(ascii: "h"): stack.append(try remembered(Int(try byte())))
    case UInt8(ascii: "j"): stack.append(try remembered(try number(4)))
    case UInt8(ascii: "0"): _ = try pop()
    case UInt8(ascii: "2"): stack.append(try top())
    // Classes and functions, by their names alone.
    case UInt8(ascii: "c"):
      let (module, name) = (try line(), try line())
      stack.append(.global("\(module).\(name)"))
    case 0x93:
      guard case .text(let name) = try pop(), case .text(let module) = try pop() else { throw underflow }
      stack.append(.global("\(module).\(name)"))
    case UInt8(ascii: "Q"):
      guard case .tuple(let description) = try pop() else {
        throw PickleError(problem: "it refers to something unknown")
      }
      let parts = description.values
      if parts.count >= 3, case .global(let kind) = parts[1], case .text(let key) = parts[2] {
        storageTypes[key] = Self.types[kind]
      }
      stack.append(.persistent(description))
    case UInt8(ascii: "R"), 0x81:
      let (arguments, callee) = (try pop(), try pop())
      guard case .global(let name) = callee, case .tuple(let values) = arguments else {
        // What nobody knows made, made of something else that nobody knows.
        stack.append(.object("?"))
        return
      }
      stack.append(try made(by: name, of: values.values))
    case UInt8(ascii: "b"):
      // An object's state: of dictionaries their metadata, of unknown objects what is left out.
      _ = try pop()
      _ = try top()
    default:
      let shown = (33...126).contains(code) ? "'\(Character(UnicodeScalar(code)))'" : "\(code)"
      throw PickleError(
        problem: "it has the instruction \(shown) at byte \(position - 1), which files of tensors do not need"
      )
    }
  }

  /// What a call of a function means here, without calling it.
  private func made(by function: String, of arguments: [PickleValue]) throws -> PickleValue {
    switch function {
    case "collections.OrderedDict": return dictionary()
    case "torch.Size":
      guard let first = arguments.first else { return .tuple(list()) }
      if case .list(let values) = first { return .tuple(list(values.values)) }
      return first
    case "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state":
      return arguments.first ?? .none
    case "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor":
      return .tensor(try tensor(of: arguments))
    default: return .object(function)
    }
  }

  /// (storage, offset, shape, strides, …), the storage described as ('storage', class, key, device, count).
  private func tensor(of arguments: [PickleValue]) throws -> PickledTensor {
    guard arguments.count >= 4, case .persistent(let description) = arguments[0],
      case let storage = description.values, storage.count >= 5,
      case .global(let kind) = storage[1], case .text(let key) = storage[2], let count = storage[4].integer,
      let offset = arguments[1].integer, let shape = arguments[2].integers,
      let strides = arguments[3].integers,
      shape.count == strides.count
    else { throw PickleError(problem: "it describes a tensor in a way that is not known") }
    guard let type = Self.types[kind] else {
      throw PickleError(problem: "it has a tensor of \(kind), which is not known")
    }
    return PickledTensor(
      storage: key, type: type, storageCount: count, offset: offset, shape: shape, strides: strides)
  }

  /// PyTorch's classes of storages.
  private static let types = [
    "torch.FloatStorage": "F32", "torch.DoubleStorage": "F64", "torch.HalfStorage": "F16",
    "torch.BFloat16Storage": "BF16", "torch.LongStorage": "I64", "torch.IntStorage": "I32",
    "torch.ShortStorage": "I16",
    "torch.CharStorage": "I8", "torch.ByteStorage": "U8", "torch.BoolStorage": "BOOL",
  ]

  // MARK: - The stack

  private var underflow: PickleError { PickleError(problem: "it takes values that are not there") }

  private func pop() throws -> PickleValue {
    guard stack.count > marks.last ?? 0, let value = stack.popLast() else { throw underflow }
    return value
  }

  private func top() throws -> PickleValue {
    guard let value = stack.last else { throw underflow }
    return value
  }

  private func popToMark() throws -> [PickleValue] {
    guard let mark = marks.popLast(), mark <= stack.count else { throw underflow }
    let values = Array(stack[mark...])
    stack.removeSubrange(mark...)
    return values
  }

  private func remembered(_ number: Int) throws -> PickleValue {
    guard let value = memo[number] else {
      throw PickleError(problem: "it takes up a value that it never had")
    }
    return value
  }

  private func extend(with values: [PickleValue]) throws {
    switch try top() {
    case .list(let list): list.values += values
    case .object: break
    default: throw PickleError(problem: "it appends to something that is no list")
    }
  }

  private func set(_ pairs: [PickleValue]) throws {
    guard pairs.count % 2 == 0 else { throw underflow }
    switch try top() {
    case .dictionary(let dictionary):
      for index in stride(from: 0, to: pairs.count, by: 2) {
        dictionary.entries.append((pairs[index], pairs[index + 1]))
      }
    case .object: break
    default: throw PickleError(problem: "it sets keys of something that has none")
    }
  }

  // MARK: - The bytes

  private func byte() throws -> UInt8 { try take(1)[0] }

  private func take(_ count: Int) throws -> UnsafeRawBufferPointer {
    guard count >= 0, count <= bytes.count - position else { throw PickleError(problem: "it breaks off") }
    defer { position += count }
    return UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
  }

  private func number(_ width: Int) throws -> Int {
    let value = try take(width).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard let number = Int(exactly: value) else { throw PickleError(problem: "it breaks off") }
    return number
  }

  /// A whole number of any length, in two's complement; those that do not fit, such as a file's magic number, are left out.
  private func long(_ width: Int) throws -> PickleValue {
    let digits = try take(width)
    guard width <= 8 else { return .object("int") }
    var value: UInt64 = digits.last.map { $0 & 0x80 != 0 } ?? false ? .max : 0
    for digit in digits.reversed() { value = value << 8 | UInt64(digit) }
    return .integer(Int(bitPattern: UInt(value)))
  }

  private func text(_ count: Int) throws -> PickleValue {
    .text(String(decoding: try take(count), as: UTF8.self))
  }

  private func line() throws -> String {
    guard let end = bytes[position...].firstIndex(of: 0x0A) else {
      throw PickleError(problem: "it breaks off")
    }
    let text = try take(end - position)
    position += 1
    return String(decoding: text, as: UTF8.self)
  }
}
