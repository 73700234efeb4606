import TMPackByteIO
import TMPackJSON

/// A canonical JSON text (TMP-4-2) that is an object with long lists: their elements are made one at a time, for a tree of
/// all takes many times the memory of the text.
struct CanonicalText {
  private let text: UnsafeRawBufferPointer
  private let what: String
  /// The object, with the lists empty.
  let object: JSONObject
  /// Where the lists begin, and how many elements they have.
  private let places: [String: (start: Int, count: Int)]

  /// More than any entry has.
  private static let valuesOfAnElement = 1024

  /// - Parameters:
  ///   - text: must outlive this.
  ///   - lists: names of members that may be longer than a tree should be.
  /// - Throws: `malformed` for a text that is not canonical or no object; `limitExceeded` (TMP-9-19).
  init(parsing text: UnsafeRawBufferPointer, _ what: String, lists: Set<String>) throws(StorageError) {
    var check = JSONReader(text)
    try check.checkCanonical()
    self.text = text
    self.what = what
    var reader = JSONReader(text)
    try reader.beginObject(what)
    // TMP-9-19
    var object = JSONObject()
    var places: [String: (start: Int, count: Int)] = [:]
    var valuesLeft = Limits.manifestValues - 1
    while let name = try reader.nextMember() {
      if let list = lists.first(where: { name.matches($0) }), try reader.kind() == .array {
        let start = reader.position
        var count = 0
        try reader.beginArray()
        while try reader.nextElement() {
          try reader.skipValue()
          count += 1
        }
        places[list] = (start, count)
        object[list] = []
        valuesLeft -= 2
      } else {
        valuesLeft -= 1
        object[name.text] = try JSONValue(reading: &reader, &valuesLeft)
      }
      guard valuesLeft >= 0 else { throw Self.tooManyValues(what) }
    }
    self.object = object
    self.places = places
  }

  /// The elements of a list.
  ///
  /// - Parameter name: what messages call the elements.
  /// - Throws: `malformed` where there is no such list; `limitExceeded` for one of more than `most` elements.
  func elements<Element>(
    of list: String, atMost most: Int, _ name: String, _ make: (JSONValue) throws(StorageError) -> Element
  ) throws(StorageError) -> [Element] {
    guard let (start, count) = places[list] else {
      _ = try object.required(list, of: what).asArray(name)
      return []
    }
    try Limits.check(count, atMost: most, "the number of \(name)")
    var reader = JSONReader(text, from: start)
    var elements: [Element] = []
    elements.reserveCapacity(count)
    try reader.beginArray()
    while try reader.nextElement() {
      var valuesLeft = Self.valuesOfAnElement
      elements.append(try make(JSONValue(reading: &reader, &valuesLeft)))
    }
    return elements
  }

  /// Throws `limitExceeded` for an object that could not be read again (TMP-9-19).
  static func check(_ object: JSONObject, _ what: String, lists: Set<String>) throws(StorageError) {
    let count = object.members.reduce(1) { $0 + 1 + (lists.contains($1.name) ? 1 : $1.value.count) }
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
