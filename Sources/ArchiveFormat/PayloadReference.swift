import TMPackByteIO
import TMPackJSON

/// Which bytes of which frames of its section a payload is (TMP-5-8).
package struct PayloadReference: Sendable, Hashable {
  package let first: Int
  package let count: Int
  /// Bytes of frame `first` in front of the payload.
  package let skip: Int
  package let size: Int

  static let empty = PayloadReference(first: 0, count: 0, skip: 0, size: 0)

  package init(first: Int, count: Int, skip: Int, size: Int) {
    self.first = first
    self.count = count
    self.skip = skip
    self.size = size
  }

  init(json: JSONValue, _ what: @autoclosure () -> String) throws(StorageError) {
    let object = try json.asObject(what())
    try object.allowOnly(["count", "first", "size", "skip"], in: what())
    try self.init(
      first: try object.required("first", of: what()).asCount("a payload's first frame"),
      count: try object.required("count", of: what()).asCount("a payload's frame count"),
      writtenSkip: try object["skip"]?.asCount("a payload's skip"),
      size: try object.required("size", of: what()).asCount("a payload's size"), what())
  }

  private static let members = JSONNameList(["count", "first", "size", "skip"])

  /// From a canonical text.
  init(reading reader: inout JSONReader, _ what: @autoclosure () -> String) throws(StorageError) {
    var (count, first, size, skip): (Int?, Int?, Int?, Int?)
    var last: Int?
    try reader.beginObject(what())
    while let member = try reader.nextCanonicalMember(of: Self.members, after: &last, in: what()) {
      switch member {
      case 0: count = try reader.canonicalCount("a payload's frame count")
      case 1: first = try reader.canonicalCount("a payload's first frame")
      case 2: size = try reader.canonicalCount("a payload's size")
      default: skip = try reader.canonicalCount("a payload's skip")
      }
    }
    guard let count, let first, let size else {
      let missing = first == nil ? "first" : count == nil ? "count" : "size"
      throw JSONObject.missingMember(missing, of: what())
    }
    try self.init(first: first, count: count, writtenSkip: skip, size: size, what())
  }

  private init(
    first: Int, count: Int, writtenSkip: Int?, size: Int, _ what: @autoclosure () -> String
  ) throws(StorageError) {
    self.init(first: first, count: count, skip: writtenSkip ?? 0, size: size)
    if writtenSkip == 0 { throw StorageError(.malformed, "\(what()) writes a skip of 0") }
    guard size > 0 ? count > 0 : (first == 0 && count == 0 && skip == 0) else {
      throw StorageError(.malformed, "\(what()) has a size that does not fit its frames")
    }
  }

  var json: JSONValue {
    var object: JSONObject = ["count": JSONValue(count), "first": JSONValue(first), "size": JSONValue(size)]
    if skip > 0 { object["skip"] = JSONValue(skip) }
    return .object(object)
  }

  var frames: Range<Int> { first..<first + count }
}
