import TMPackByteIO
import TMPackJSON

/// A canonical JSON text (TMP-4-2) that is an object with long lists, which are read one element at a time: a tree of all takes
/// many times the memory of the text.
struct CanonicalText {
  private let text: UnsafeRawBufferPointer
  private let what: String
  /// The object, with the lists empty.
  let object: JSONObject
  /// Where the lists begin.
  private let starts: [String: Int]

  /// More than any element has of those that are read as a tree.
  private static let valuesOfAnElement = 1024

  /// - Parameters:
  ///   - text: must outlive this.
  ///   - lists: members that may be longer than a tree should be.
  ///   - readList: reads such a member, which comes next, by what a canonical text is read with, and gives the number of its elements. It
  ///     is told the member's name, and the members that come before it. By default the list is passed by, for `elements`.
  /// - Throws: `malformed` for a text that is not canonical or no object; `limitExceeded` (TMP-9-19); what `readList` throws.
  init(
    parsing text: UnsafeRawBufferPointer, _ what: String, lists: [LongList],
    _ readList: (String, JSONObject, inout JSONReader) throws(StorageError) -> Int = Self.skip
  ) throws(StorageError) {
    self.text = text
    self.what = what
    var reader = JSONReader(text)
    try reader.beginObject(what)
    // TMP-9-19
    var object = JSONObject()
    var starts: [String: Int] = [:]
    var valuesLeft = Limits.manifestValues - 1
    var last: JSONString?
    while let name = try reader.nextCanonicalMember(after: &last) {
      if let list = lists.first(where: { name.matches($0.member) }), try reader.kind() == .array {
        let start = reader
        do throws(StorageError) {
          try list.check(count: try readList(list.member, object, &reader))
        } catch {
          // What is too long is that, whatever else is wrong with it.
          try list.check(start)
          throw error
        }
        starts[list.member] = start.position
        object[list.member] = []
        valuesLeft -= 2
      } else {
        valuesLeft -= 1
        var again = reader
        try reader.skipCanonicalValue()
        object[name.text] = try JSONValue(reading: &again, &valuesLeft)
      }
      guard valuesLeft >= 0 else { throw Self.tooManyValues(what) }
    }
    try reader.endCanonical()
    self.object = object
    self.starts = starts
  }

  private static func skip(_: String, _: JSONObject, _ reader: inout JSONReader) throws(StorageError) -> Int {
    var count = 0
    try reader.beginArray()
    while try reader.nextElement() {
      try reader.skipCanonicalValue()
      count += 1
    }
    return count
  }

  /// The elements of a list.
  ///
  /// - Throws: `malformed` where there is no such list; what `make` throws.
  func elements<Element>(
    of list: LongList, _ make: (JSONValue) throws(StorageError) -> Element
  ) throws(StorageError) -> [Element] {
    guard let start = starts[list.member] else { throw missing(list) }
    var reader = JSONReader(text, from: start)
    var elements: [Element] = []
    try reader.beginArray()
    while try reader.nextElement() {
      var valuesLeft = Self.valuesOfAnElement
      elements.append(try make(JSONValue(reading: &reader, &valuesLeft)))
    }
    return elements
  }

  /// For a list that is not there, or none.
  func missing(_ list: LongList) -> StorageError {
    do throws(StorageError) {
      _ = try object.required(list.member, of: what).asArray(list.elements)
    } catch {
      return error
    }
    preconditionFailure("a list that was read")
  }

  /// Throws `limitExceeded` for an object that could not be read again (TMP-9-19).
  static func check(_ object: JSONObject, _ what: String, lists: [LongList]) throws(StorageError) {
    let listed = lists.map(\.member)
    let count = object.members.reduce(1) { $0 + 1 + (listed.contains($1.name) ? 1 : $1.value.count) }
    guard count <= Limits.manifestValues else { throw tooManyValues(what) }
  }

  private static func tooManyValues(_ what: String) -> StorageError {
    StorageError(.limitExceeded, "\(what) has more values than the limit, \(Limits.manifestValues), besides its lists")
  }
}

extension JSONValue {
  /// Values in it and itself, names of members counted too.
  fileprivate var count: Int {
    switch self {
    case .array(let elements): elements.reduce(1) { $0 + $1.count }
    case .object(let object): object.members.reduce(1) { $0 + 1 + $1.value.count }
    case .null, .bool, .integer, .number, .string: 1
    }
  }
}
