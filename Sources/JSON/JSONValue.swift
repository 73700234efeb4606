import TMPackByteIO

/// A JSON value. Objects keep the order of their members.
package enum JSONValue: Sendable, Equatable {
  case null
  case bool(Bool)
  /// A number written without fraction or exponent, within 64 bits.
  case integer(Int64)
  /// Any other number.
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object(JSONObject)
}

/// The members of an object: unique names (compared by their bytes), in order.
package struct JSONObject: Sendable, Equatable {
  package private(set) var members: [(name: String, value: JSONValue)] = []
  /// Of all members, once there are more than are looked through quickly.
  private var positions: [ExactString: Int] = [:]
  private static let fewMembers = 8

  package init() {}

  package subscript(name: String) -> JSONValue? {
    get { position(of: name).map { members[$0].value } }
    set {
      if let position = position(of: name) {
        if let newValue {
          members[position].value = newValue
        } else {
          members.remove(at: position)
          indexAll()
        }
      } else if let newValue {
        append(name, newValue)
      }
    }
  }

  private func position(of name: String) -> Int? {
    if members.count > Self.fewMembers { return positions[ExactString(name)] }
    // Not `firstIndex(where:)`, which would copy members to look at their names.
    for index in members.indices where members[index].name.hasSameBytes(as: name) { return index }
    return nil
  }

  private mutating func append(_ name: String, _ value: JSONValue) {
    members.append((name, value))
    if members.count > Self.fewMembers + 1 {
      positions[ExactString(name)] = members.count - 1
    } else if members.count == Self.fewMembers + 1 {
      indexAll()
    }
  }

  private mutating func indexAll() {
    positions = [:]
    guard members.count > Self.fewMembers else { return }
    for (index, member) in members.enumerated() { positions[ExactString(member.name)] = index }
  }

  package var names: [String] { members.map(\.name) }

  /// Adds a member; false when the name is taken.
  mutating func insert(_ name: String, _ value: JSONValue) -> Bool {
    guard position(of: name) == nil else { return false }
    append(name, value)
    return true
  }

  package init(_ members: [(String, JSONValue)]) {
    for (name, value) in members { self[name] = value }
  }

  package static func == (left: Self, right: Self) -> Bool {
    left.members.elementsEqual(right.members) { $0.name.hasSameBytes(as: $1.name) && $0.value == $1.value }
  }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
  package init(dictionaryLiteral elements: (String, JSONValue)...) { self.init(elements) }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByFloatLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  package init(stringLiteral value: String) { self = .string(value) }
  package init(integerLiteral value: Int64) { self = .integer(value) }
  package init(booleanLiteral value: Bool) { self = .bool(value) }
  package init(floatLiteral value: Double) { self = .number(value) }
  package init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  package init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(JSONObject(elements))
  }

  package init(_ value: some BinaryInteger) { self = .integer(Int64(value)) }
}

// Accessors for decoding: each names what it wanted, and where, when the value is something else.
extension JSONValue {
  package func asObject(_ what: @autoclosure () -> String) throws(StorageError) -> JSONObject {
    guard case .object(let object) = self else { throw Self.wrongType(what(), "an object") }
    return object
  }

  package func asArray(_ what: @autoclosure () -> String) throws(StorageError) -> [JSONValue] {
    guard case .array(let array) = self else { throw Self.wrongType(what(), "an array") }
    return array
  }

  package func asString(_ what: @autoclosure () -> String) throws(StorageError) -> String {
    guard case .string(let string) = self else { throw Self.wrongType(what(), "a string") }
    return string
  }

  /// A whole number that is not negative.
  package func asCount(_ what: @autoclosure () -> String) throws(StorageError) -> Int {
    guard case .integer(let integer) = self, integer >= 0 else {
      throw Self.wrongType(what(), "a non-negative integer")
    }
    return Int(integer)
  }

  static func wrongType(_ what: String, _ expected: String) -> StorageError {
    StorageError(.malformed, "\(what) must be \(expected)")
  }
}

extension JSONObject {
  /// The member `name`, which must be there.
  package func required(_ name: String, of what: @autoclosure () -> String) throws(StorageError) -> JSONValue {
    guard let value = self[name] else {
      throw Self.missingMember(name, of: what())
    }
    return value
  }

  /// Throws when a member is not one of `known`.
  package func allowOnly(_ known: [String], in what: @autoclosure () -> String) throws(StorageError) {
    for member in members where !known.contains(member.name) {
      throw Self.unknownMember(member.name, of: what())
    }
  }

  package static func unknownMember(_ name: String, of what: String) -> StorageError {
    StorageError(.malformed, "\(what) has an unknown member \"\(name)\"")
  }

  /// For a member that must be there.
  package static func missingMember(_ name: String, of what: String) -> StorageError {
    StorageError(.malformed, "\(what) has no \"\(name)\"")
  }
}
