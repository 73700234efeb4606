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
    first = try object.required("first", of: what()).asCount("a payload's first frame")
    count = try object.required("count", of: what()).asCount("a payload's frame count")
    size = try object.required("size", of: what()).asCount("a payload's size")
    skip = try object["skip"]?.asCount("a payload's skip") ?? 0
    if object["skip"] != nil, skip == 0 { throw StorageError(.malformed, "\(what()) writes a skip of 0") }
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
