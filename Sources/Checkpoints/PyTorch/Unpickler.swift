import TMPackByteIO

/// Reads a pickle (Lib/pickletools.py; protocols 2 to 5, and what of 0 and 1 they kept) that holds tensors.
///
/// An interpreter of a stack machine that can make lists, dictionaries, numbers and descriptions of tensors, and
/// nothing else: no name of Python leads to code. What a class or function that is not known would make is an opaque
/// value, which only keeps what it was given. Depth is no danger, because containers hold numbers of objects
/// rather than objects; the sizes are bounded by `Limits`.
struct Unpickler: ~Copyable {
  private var stack: [PickleValue] = []
  private var marks: [Int] = []
  /// By the places, which count from zero.
  private var memo: [PickleValue?] = []
  private var memoCount = 0
  private(set) var objects: [PickleObject] = []
  /// What was set on dictionaries beside their members, by their numbers.
  private var attributes: [Int: PickleValue] = [:]
  private var globalCount = 0
  private var tensorCount = 0
  /// Values in containers.
  private var held = 0
  private var input: ByteReader

  private init(_ input: ByteReader) { self.input = input }

  /// Reads one pickle and leaves `input` behind it.
  ///
  /// - Throws: `unsupportedFeature` for a name of Python that only an attack needs; `malformed`, `truncated`,
  ///   `limitExceeded`. The offset is that of the operation at fault.
  static func load(_ input: inout ByteReader) throws(StorageError) -> Pickle {
    var unpickler = Unpickler(input)
    let root = try unpickler.run()
    input = unpickler.input
    return Pickle(root: root, objects: unpickler.objects, attributes: unpickler.attributes)
  }

  private mutating func run() throws(StorageError) -> PickleValue {
    while true {
      let start = input.offset
      do throws(StorageError) {
        let code = try input.integer(UInt8.self)
        if code == UInt8(ascii: ".") {
          let root = try pop()
          guard stack.isEmpty, marks.isEmpty else { throw StorageError(.malformed, "values are left on the stack") }
          return root
        }
        try execute(code)
      } catch { throw error.at(offset: start) }
    }
  }

  // MARK: Operations

  private mutating func execute(_ code: UInt8) throws(StorageError) {
    switch code {
    // Framing.
    case 0x80:
      let version = try input.integer(UInt8.self)
      guard version <= 5 else { throw StorageError(.unsupportedVersion, "is a pickle of protocol \(version)") }
    case 0x95: _ = try input.integer(UInt64.self)
    // The stack.
    case UInt8(ascii: "("):
      marks.append(stack.count)
      try Limits.check(marks.count, atMost: Limits.pickleValues, "the number of marks")
    case UInt8(ascii: "0"): _ = try pop()
    case UInt8(ascii: "1"): try dropToMark()
    case UInt8(ascii: "2"): try push(top())
    // Constants.
    case UInt8(ascii: "N"): try push(.none)
    case 0x88: try push(.bool(true))
    case 0x89: try push(.bool(false))
    case UInt8(ascii: "J"): try push(.integer(Int(input.integer(Int32.self))))
    case UInt8(ascii: "K"): try push(.integer(Int(input.integer(UInt8.self))))
    case UInt8(ascii: "M"): try push(.integer(Int(input.integer(UInt16.self))))
    case 0x8A: try pushLong(Int(input.integer(UInt8.self)))
    case 0x8B: try pushLong(Int(input.integer(UInt32.self)))
    case UInt8(ascii: "G"): try push(.float(Double(bitPattern: input.integer(UInt64.self).byteSwapped)))
    case 0x8C: try pushString(Int(input.integer(UInt8.self)))
    case UInt8(ascii: "X"): try pushString(Int(input.integer(UInt32.self)))
    case 0x8D: try pushString(count64())
    // Python 2's strings: text, when they are names.
    case UInt8(ascii: "U"): try pushBytes(Int(input.integer(UInt8.self)), asText: true)
    case UInt8(ascii: "T"): try pushBytes(Int(input.integer(UInt32.self)), asText: true)
    case UInt8(ascii: "C"): try pushBytes(Int(input.integer(UInt8.self)))
    case UInt8(ascii: "B"): try pushBytes(Int(input.integer(UInt32.self)))
    case 0x8E, 0x96: try pushBytes(count64())
    // Containers.
    case UInt8(ascii: ")"): try make(.tuple([]))
    case UInt8(ascii: "]"): try make(.list(Growing()))
    case UInt8(ascii: "}"): try make(.dictionary(Growing()))
    case 0x8F: try make(.list(Growing()))
    case 0x85, 0x86, 0x87:
      let count = Int(code - 0x84)
      guard stack.count - (marks.last ?? 0) >= count else { throw underflow }
      let parts = Array(stack.suffix(count))
      stack.removeLast(count)
      try make(.tuple(parts), holding: count)
    case UInt8(ascii: "t"):
      let parts = try popToMark()
      try make(.tuple(parts), holding: parts.count)
    case UInt8(ascii: "l"), 0x91:
      let parts = try popToMark()
      try make(.list(Growing(parts)), holding: parts.count)
    case UInt8(ascii: "d"):
      try make(.dictionary(Growing()))
      let dictionary = try pop()
      let parts = try popToMark()
      try insert(parts, into: dictionary)
      try push(dictionary)
    case UInt8(ascii: "a"):
      let value = try pop()
      try append([value], to: top())
    case UInt8(ascii: "e"), 0x90:
      let parts = try popToMark()
      try append(parts, to: top())
    case UInt8(ascii: "s"):
      let value = try pop()
      let key = try pop()
      try insert([key, value], into: top())
    case UInt8(ascii: "u"):
      let parts = try popToMark()
      try insert(parts, into: top())
    // The memo.
    case UInt8(ascii: "q"): try remember(top(), at: UInt32(input.integer(UInt8.self)))
    case UInt8(ascii: "r"): try remember(top(), at: input.integer())
    case 0x94: try remember(top(), at: UInt32(memoCount))
    case UInt8(ascii: "h"): try recall(UInt32(input.integer(UInt8.self)))
    case UInt8(ascii: "j"): try recall(input.integer())
    // What Python 2 writes as text.
    case UInt8(ascii: "I"), UInt8(ascii: "L"): try pushNumber(line())
    case UInt8(ascii: "F"):
      let text = try line()
      guard let number = Double(text) else { throw StorageError(.malformed, "the pickle has a number that is none") }
      try push(.float(number))
    case UInt8(ascii: "S"), UInt8(ascii: "V"): try pushQuoted(line(atMost: Limits.pickleBytes))
    case UInt8(ascii: "p"): try remember(top(), at: place(line()))
    case UInt8(ascii: "g"): try recall(place(line()))
    // Names and calls.
    case UInt8(ascii: "c"): try pushGlobal(module: line(), name: line())
    case UInt8(ascii: "i"):
      try pushGlobal(module: line(), name: line())
      let type = try pop()
      let arguments = try popToMark()
      try push(call(type, arguments))
    case UInt8(ascii: "o"):
      let parts = try popToMark()
      guard let type = parts.first else { throw underflow }
      try push(call(type, Array(parts.dropFirst())))
    case 0x93:
      let name = try string(pop(), "the name of a global")
      let module = try string(pop(), "the module of a global")
      try pushGlobal(module: module, name: name)
    case UInt8(ascii: "R"), 0x81:
      let arguments = try tuple(pop(), "the arguments of a call")
      try push(call(pop(), arguments))
    case 0x92:
      let named = try pop()
      let arguments = try tuple(pop(), "the arguments of a call")
      let value = try call(pop(), arguments)
      try setAttributes(named, of: value)
      try push(value)
    case UInt8(ascii: "b"):
      let state = try pop()
      try setAttributes(state, of: top())
    case UInt8(ascii: "Q"): try pushPersistent(pop())
    default:
      throw StorageError(
        .unsupportedFeature, "the pickle has the operation 0x\(String(code, radix: 16)), which files of tensors do not")
    }
  }

  // MARK: The stack

  private var underflow: StorageError { StorageError(.malformed, "the pickle takes more values than it has made") }

  mutating func push(_ value: PickleValue) throws(StorageError) {
    try Limits.check(stack.count + 1, atMost: Limits.pickleValues, "the number of values on the stack")
    stack.append(value)
  }

  mutating func pop() throws(StorageError) -> PickleValue {
    guard stack.count > marks.last ?? 0 else { throw underflow }
    return stack.removeLast()
  }

  private func top() throws(StorageError) -> PickleValue {
    guard stack.count > marks.last ?? 0 else { throw underflow }
    return stack[stack.count - 1]
  }

  /// How high the stack was at the last mark, which goes.
  private mutating func popMark() throws(StorageError) -> Int {
    guard let mark = marks.popLast() else { throw StorageError(.malformed, "the pickle has a mark too few") }
    return mark
  }

  private mutating func dropToMark() throws(StorageError) {
    let mark = try popMark()
    stack.removeLast(stack.count - mark)
  }

  private mutating func popToMark() throws(StorageError) -> [PickleValue] {
    let mark = try popMark()
    let values = Array(stack[mark...])
    stack.removeLast(stack.count - mark)
    return values
  }

  // MARK: Objects

  mutating func make(_ object: PickleObject, holding count: Int = 0) throws(StorageError) {
    try hold(count)
    try Limits.check(objects.count + 1, atMost: Limits.pickleObjects, "the number of objects in the pickle")
    objects.append(object)
    try push(.object(objects.count - 1))
  }

  private mutating func pushGlobal(module: String, name: String) throws(StorageError) {
    globalCount += 1
    try Limits.check(globalCount, atMost: Limits.pickleGlobals, "the number of names of Python in the pickle")
    try make(.global(PickleGlobal(module: module, name: name)))
  }

  mutating func make(_ tensor: TorchTensor) throws(StorageError) {
    tensorCount += 1
    try Limits.check(tensorCount, atMost: Limits.pickleTensors, "the number of tensors in the pickle")
    try make(.tensor(tensor))
  }

  private mutating func hold(_ count: Int) throws(StorageError) {
    held += count
    try Limits.check(held, atMost: Limits.pickleValues, "the number of values in the pickle")
  }

  private mutating func append(_ values: [PickleValue], to target: PickleValue) throws(StorageError) {
    try hold(values.count)
    guard case .object(let index) = target else { throw notAContainer }
    switch objects[index] {
    case .list(let list): list.append(values)
    case .opaque(let value): value.parts.append(values)
    default: throw notAContainer
    }
  }

  mutating func insert(_ parts: [PickleValue], into target: PickleValue) throws(StorageError) {
    try hold(parts.count)
    guard case .object(let index) = target, parts.count.isMultiple(of: 2) else { throw notAContainer }
    switch objects[index] {
    case .dictionary(let entries):
      entries.append(
        stride(from: 0, to: parts.count, by: 2).map { PickleEntry(key: parts[$0], value: parts[$0 + 1]) })
    case .opaque(let value): value.parts.append(parts)
    default: throw notAContainer
    }
  }

  /// What is set on a dictionary, or on an opaque value, is kept; a tensor's own attributes hold no elements.
  private mutating func setAttributes(_ state: PickleValue, of target: PickleValue) throws(StorageError) {
    guard case .object(let index) = target else {
      throw StorageError(.malformed, "attributes are set on what has none")
    }
    try hold(1)
    switch objects[index] {
    case .dictionary: attributes[index] = state
    case .opaque(let value): value.parts.append([state])
    default: break
    }
  }

  private var notAContainer: StorageError { StorageError(.malformed, "a value is put into what holds none") }

  private mutating func remember(_ value: PickleValue, at place: UInt32) throws(StorageError) {
    let place = Int(place)
    try Limits.check(place + 1, atMost: Limits.pickleObjects, "the number of values in the memo")
    while memo.count <= place { memo.append(nil) }
    if memo[place] == nil { memoCount += 1 }
    memo[place] = value
  }

  private mutating func recall(_ place: UInt32) throws(StorageError) {
    guard place < memo.count, let value = memo[Int(place)] else {
      throw StorageError(.malformed, "the memo has nothing at \(place)")
    }
    try push(value)
  }

  // MARK: Constants

  private mutating func count64() throws(StorageError) -> Int {
    guard let count = Int(exactly: try input.integer(UInt64.self)) else {
      throw StorageError(.truncated, "a string is longer than any file")
    }
    return count
  }

  private mutating func pushString(_ count: Int) throws(StorageError) {
    guard let text = String(validating: try input.take(count), as: UTF8.self) else {
      // Lone surrogates, which Python allows; no tensor is named so.
      return try make(.bytes)
    }
    try make(.string(text))
  }

  private mutating func pushBytes(_ count: Int, asText: Bool = false) throws(StorageError) {
    let bytes = try input.take(count)
    if asText, let text = String(validating: bytes, as: UTF8.self) { return try make(.string(text)) }
    try make(.bytes)
  }

  /// Two's complement of any length.
  private mutating func pushLong(_ count: Int) throws(StorageError) {
    let bytes = try input.take(count)
    guard count <= 8 else { return try make(.long) }
    var value: Int = bytes.last.map { $0 >= 0x80 ? -1 : 0 } ?? 0
    for byte in bytes.reversed() { value = value << 8 | Int(byte) }
    try push(.integer(value))
  }

  /// `I` has `00` and `01` for truth; `L` ends with an L.
  private mutating func pushNumber(_ text: String) throws(StorageError) {
    if text == "00" || text == "01" { return try push(.bool(text == "01")) }
    let digits = text.hasSuffix("L") ? text.dropLast() : text[...]
    if let number = Int(digits) { return try push(.integer(number)) }
    let magnitude = digits.drop { $0 == "-" }
    guard !magnitude.isEmpty, magnitude.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
      throw StorageError(.malformed, "the pickle has a number that is none")
    }
    try make(.long)
  }

  /// A string in Python's notation: text if there is nothing in it to interpret.
  private mutating func pushQuoted(_ text: String) throws(StorageError) {
    var inner = text[...]
    if let quote = inner.first, quote == "'" || quote == "\"", inner.count >= 2, inner.last == quote {
      inner = inner.dropFirst().dropLast()
    }
    if inner.contains("\\") { try make(.bytes) } else { try make(.string(String(inner))) }
  }

  private func place(_ text: String) throws(StorageError) -> UInt32 {
    guard let place = UInt32(text) else { throw StorageError(.malformed, "a place in the memo is no number") }
    return place
  }

  private mutating func line(atMost limit: Int = Limits.nameBytes) throws(StorageError) -> String {
    var bytes: [UInt8] = []
    while true {
      let byte = try input.integer(UInt8.self)
      if byte == UInt8(ascii: "\n") { return String(decoding: bytes, as: UTF8.self) }
      bytes.append(byte)
      try Limits.check(bytes.count, atMost: limit, "the length of a line in the pickle")
    }
  }
}
