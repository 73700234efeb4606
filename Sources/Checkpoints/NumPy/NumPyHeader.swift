import TMPackByteIO
import TMPackTensorKit

/// The header of a `.npy` file (numpy.lib.format, NEP 1).
///
/// | bytes  | what                                                                                        |
/// |--------|---------------------------------------------------------------------------------------------|
/// | 6      | 0x93 "NUMPY"                                                                                |
/// | 2      | the version: 1.0, 2.0 or 3.0                                                                |
/// | 2 or 4 | n, the length of the text: 2 bytes in version 1                                             |
/// | n      | a Python dictionary `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`, filled up |
/// |        | with spaces and a line feed: Latin-1, UTF-8 from version 3 on                               |
struct NumPyHeader: Sendable, Equatable {
  static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)
  /// What `numpy.save` fills a header up to.
  private static let alignment = 64

  let dtype: DType
  let shape: Shape
  let isBigEndian: Bool
  /// Whether the first index varies quickest.
  let isFortranOrder: Bool

  init(dtype: DType, shape: Shape) {
    (self.dtype, self.shape, isBigEndian, isFortranOrder) = (dtype, shape, false, false)
  }

  /// Most bytes that a header takes.
  static let maximumBytes = 12 + Limits.npyHeaderBytes

  /// - Throws: `malformed`, `truncated`, `limitExceeded`; `unsupportedVersion`; `unsupportedFeature` for arrays of
  ///   objects, of records and of elements that no tensor has.
  init(parsing input: inout ByteReader) throws(StorageError) {
    let start = input.offset
    guard try input.take(Self.magic.count).elementsEqual(Self.magic) else {
      throw StorageError(.malformed, "does not begin as a NumPy array", offset: start)
    }
    let version = (try input.integer(UInt8.self), try input.integer(UInt8.self))
    guard (1...3).contains(version.0), version.1 == 0 else {
      throw StorageError(
        .unsupportedVersion, "is a NumPy array of version \(version.0).\(version.1)", offset: start + 6)
    }
    let length = version.0 == 1 ? Int(try input.integer(UInt16.self)) : Int(try input.integer(UInt32.self))
    try Limits.check(length, atMost: Limits.npyHeaderBytes, "the length of the header")
    let textStart = input.offset
    do throws(StorageError) {
      var literal = PythonLiteral(try input.take(length))
      let fields = try literal.dictionary()
      guard fields.count == 3, Set(fields.map(\.key)) == ["descr", "fortran_order", "shape"] else {
        throw StorageError(.malformed, "the header must have descr, fortran_order and shape")
      }
      var parts: (dtype: DType, isBigEndian: Bool)?
      var order: Bool?
      var dimensions: [Int]?
      for (key, value) in fields {
        switch (key, value) {
        case ("descr", .string(let code)): parts = try Self.elements(code)
        case ("descr", _): throw StorageError(.unsupportedFeature, "is an array of records, not of numbers")
        case ("fortran_order", .bool(let flag)): order = flag
        case ("shape", .tuple(let numbers)): dimensions = numbers
        default: throw StorageError(.malformed, "the header's \(key) has the wrong type")
        }
      }
      (dtype, isBigEndian) = parts!
      isFortranOrder = order!
      shape = try Shape(dimensions!)
      _ = try shape.byteCount(of: dtype)
    } catch { throw error.at(offset: textStart) }
  }

  /// Whether a header says that the elements are text, dates or Python's objects: no numbers of a model.
  ///
  /// - Parameter prefix: the beginning of the file.
  static func isOfNoNumbers(_ prefix: [UInt8]) -> Bool {
    let text = String(decoding: prefix.dropFirst(8), as: UTF8.self)
    guard let place = text.range(ofText: "'descr': '") else { return false }
    let kind = text[place...].drop { "<>|=".contains($0) }.first
    return kind.map { "USOMm".contains($0) } ?? false
  }

  private static func elements(_ code: String) throws(StorageError) -> (DType, isBigEndian: Bool) {
    let kind = code.drop { "<>|=".contains($0) }
    if kind.hasPrefix("O") {
      throw StorageError(.unsupportedFeature, "is an array of Python objects, which only running code could read")
    }
    guard code.count == kind.count + 1, !code.hasPrefix("="), let dtype = DType(numPyCode: kind) else {
      let note = kind.hasPrefix("V") ? " (raw bytes; bfloat16 is saved so, without saying it)" : ""
      throw StorageError(.unsupportedFeature, "is an array of elements \(code.debugDescription)\(note)")
    }
    guard dtype.bitWidth == 8 || !code.hasPrefix("|") else {
      throw StorageError(.malformed, "the elements \(code.debugDescription) have no byte order")
    }
    return (dtype, code.hasPrefix(">") && dtype.bitWidth > 8)
  }

  /// The bytes of a version 1.0 header as NumPy writes it; nil when NumPy has no such elements.
  var bytes: [UInt8]? {
    guard let description = dtype.numPyDescription else { return nil }
    let dimensions = shape.dimensions.map(String.init).joined(separator: ", ")
    let tuple = shape.dimensions.count == 1 ? "(\(dimensions),)" : "(\(dimensions))"
    let text = "{'descr': '\(description)', 'fortran_order': False, 'shape': \(tuple), }"
    let fixed = Self.magic.count + 4
    let total = (fixed + text.utf8.count + 1).roundedUp(toMultipleOf: Self.alignment)
    var output = ByteWriter(capacity: total)
    output.append(Self.magic)
    output.append([1, 0])
    output.integer(UInt16(total - fixed))
    output.append(text.utf8)
    output.append(repeatElement(UInt8(ascii: " "), count: total - fixed - text.utf8.count - 1))
    output.append([UInt8(ascii: "\n")])
    return output.bytes
  }
}

/// As much of Python's literals as headers of arrays consist of.
private struct PythonLiteral {
  enum Value {
    case string(String)
    case bool(Bool)
    case tuple([Int])
    /// A list: the description of a record, which is not looked into.
    case list
  }

  private let bytes: [UInt8]
  private var place = 0

  init(_ text: UnsafeRawBufferPointer) { bytes = Array(text) }

  mutating func dictionary() throws(StorageError) -> [(key: String, value: Value)] {
    try expect("{")
    var members: [(key: String, value: Value)] = []
    while !accept("}") {
      if !members.isEmpty {
        try expect(",")
        if accept("}") { break }
      }
      guard case .string(let key) = try value() else { throw fault }
      try expect(":")
      members.append((key, try value()))
      if case .list = members[members.count - 1].value { return try refuseRecord(members) }
    }
    skipSpace()
    guard place == bytes.count else { throw fault }
    return members
  }

  private func refuseRecord(
    _ members: [(key: String, value: Value)]
  ) throws(StorageError) -> [(key: String, value: Value)] {
    throw StorageError(.unsupportedFeature, "is an array of records, not of numbers")
  }

  private mutating func value() throws(StorageError) -> Value {
    skipSpace()
    guard place < bytes.count else { throw fault }
    switch bytes[place] {
    case UInt8(ascii: "'"), UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "("): return .tuple(try tuple())
    case UInt8(ascii: "["): return .list
    default:
      if accept("True") { return .bool(true) }
      if accept("False") { return .bool(false) }
      throw fault
    }
  }

  private mutating func string() throws(StorageError) -> String {
    let quote = bytes[place]
    let rest = bytes[(place + 1)...]
    guard let end = rest.firstIndex(of: quote), !rest[..<end].contains(UInt8(ascii: "\\")) else { throw fault }
    place = end + 1
    return String(decoding: rest[..<end], as: UTF8.self)
  }

  private mutating func tuple() throws(StorageError) -> [Int] {
    try expect("(")
    var numbers: [Int] = []
    while !accept(")") {
      skipSpace()
      let digits = bytes[place...].prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
      guard let number = Int(String(decoding: digits, as: UTF8.self)), numbers.count < Limits.dimensions else {
        throw fault
      }
      place = digits.endIndex
      numbers.append(number)
      // Python 2's long integers.
      _ = accept("L")
      if !accept(",") {
        try expect(")")
        // (3) is a number, not a tuple.
        guard numbers.count > 1 else { throw fault }
        break
      }
    }
    return numbers
  }

  private mutating func skipSpace() {
    while place < bytes.count, bytes[place] == UInt8(ascii: " ") || bytes[place] == UInt8(ascii: "\n") { place += 1 }
  }

  private mutating func accept(_ text: StaticString) -> Bool {
    skipSpace()
    let wanted = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    guard bytes[place...].starts(with: wanted) else { return false }
    place += wanted.count
    return true
  }

  private mutating func expect(_ text: StaticString) throws(StorageError) {
    guard accept(text) else { throw fault }
  }

  private var fault: StorageError { StorageError(.malformed, "the header is no dictionary as NumPy writes it") }
}

extension String {
  /// Behind the first place where a text stands.
  fileprivate func range(ofText text: String) -> String.Index? {
    let pattern = Array(text.utf8)
    var rest = utf8[...]
    while rest.count >= pattern.count {
      if rest.starts(with: pattern) { return rest.index(rest.startIndex, offsetBy: pattern.count) }
      rest = rest.dropFirst()
    }
    return nil
  }
}
