import TMPackByteIO
import TMPackJSON

/// A measured number in a manifest: a decimal string, since canonical JSON holds no floating-point numbers (TMP-4-3).
package struct Measure: Sendable, Hashable {
  package let text: String
  package let value: Double

  /// - Precondition: `value` is finite and not negative.
  package init(_ value: Double) {
    precondition(value.isFinite && value >= 0, "measures are finite and not negative")
    self.value = value
    text = String(describing: value)
  }

  init(json: JSONValue, _ what: @autoclosure () -> String) throws(StorageError) {
    try self.init(parsing: try json.asString(what()), what())
  }

  init(parsing text: String, _ what: @autoclosure () -> String) throws(StorageError) {
    self.text = text
    guard Self.isDecimal(text), let value = Double(text), value.isFinite else {
      throw StorageError(.malformed, "\(what()) is not a decimal number")
    }
    self.value = value
  }

  /// The same to binary32's precision, in about half of the digits: nearer than what is compared (TMP-4-10).
  package var shortened: Measure {
    let short = Float(value)
    guard short.isNormal, let value = Double(String(describing: short)) else { return self }
    return Measure(text: String(describing: short), value: value)
  }

  private init(text: String, value: Double) {
    self.text = text
    self.value = value
  }

  var json: JSONValue { .string(text) }

  /// Equality to one part in 10⁶ (TMP-4-10), the more generous for what is rounding noise itself.
  package func agrees(with other: Measure) -> Bool {
    abs(value - other.value) <= max(1e-6 * max(value, other.value), 1e-12)
  }

  private static func isDecimal(_ text: String) -> Bool {
    guard text.utf8.count <= 32 else { return false }
    var text = text
    return text.withUTF8 { bytes in
      var place = 0
      func skips(_ letter: Unicode.Scalar) -> Bool {
        guard place < bytes.count, bytes[place] == UInt8(ascii: letter) else { return false }
        place += 1
        return true
      }
      func digits() -> Bool {
        let start = place
        while place < bytes.count, bytes[place] &- UInt8(ascii: "0") < 10 { place += 1 }
        return place > start
      }
      guard digits() else { return false }
      if skips("."), !digits() { return false }
      if skips("e") {
        if !skips("+") { _ = skips("-") }
        guard digits() else { return false }
      }
      return place == bytes.count
    }
  }
}
