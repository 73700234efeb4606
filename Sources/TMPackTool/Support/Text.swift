import ArgumentParser

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Sizes as people write and read them.
struct ByteSize: ExpressibleByArgument {
  let bytes: UInt64
  /// As it was given, if that was a small number without a unit: of bytes, most likely by mistake.
  let bareNumber: String?

  /// `5GB`, `20 MB`, `512KiB`, `340000`.
  init?(argument: String) {
    let digits = argument.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    let unit = argument.dropFirst(digits.count).drop { $0 == " " }.lowercased()
    let factors: [String: Double] = [
      "": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 0x1p10, "mib": 0x1p20, "gib": 0x1p30,
      "tib": 0x1p40,
    ]
    guard let number = Double(digits), let factor = factors[unit], number * factor >= 1, number * factor < 0x1p63 else {
      return nil
    }
    bytes = UInt64(number * factor)
    bareNumber = unit.isEmpty && number < 1000 ? argument : nil
  }

  /// Refuses a small number without a unit, and says how bytes are meant.
  func checkUnit(of option: String) throws {
    guard let bareNumber else { return }
    throw ValidationError(
      "\(option) \(bareNumber) has no unit: \(bareNumber)MB or \(bareNumber)kB? \(bareNumber)B if bytes are meant.")
  }

  var defaultValueDescription: String { Self.text(bytes) }

  static func text(_ bytes: UInt64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"]
    var value = Double(bytes)
    var unit = 0
    while value >= 999.5, unit < units.count - 1 {
      value /= 1000
      unit += 1
    }
    return unit == 0 ? "\(bytes) B" : "\(value.significant(3)) \(units[unit])"
  }
}

extension Double {
  /// Rounded to so many significant digits, without an exponent where it is readable so.
  func significant(_ digits: Int) -> String {
    guard isFinite else { return isNaN ? "NaN" : self < 0 ? "-inf" : "inf" }
    guard self != 0 else { return "0" }
    let size = Int(decimalExponent)
    if size < -4 || size > 15 { return scientific(digits) }
    let places = max(0, digits - 1 - size)
    func powerOfTen(_ exponent: Int) -> Double { (0..<exponent).reduce(1) { power, _ in 10 * power } }
    // Rounded up to a power of ten, it would have a digit more.
    let isRoundedUp = (magnitude * powerOfTen(places)).rounded() >= powerOfTen(digits)
    return fixed(isRoundedUp ? max(0, places - 1) : places)
  }

  /// With so many digits after the point.
  func fixed(_ places: Int) -> String {
    var scale = 1.0
    for _ in 0..<places { scale *= 10 }
    let scaled = (magnitude * scale).rounded()
    guard scaled < 9e18 else { return String(describing: self) }
    let whole = String(UInt64(scaled)).leftPadded(to: places + 1, with: "0")
    let sign = self < 0 && scaled > 0 ? "-" : ""
    guard places > 0 else { return sign + whole }
    return "\(sign)\(whole.dropLast(places)).\(whole.suffix(places))"
  }

  private func scientific(_ digits: Int) -> String {
    var exponent = Int(decimalExponent)
    var mantissa = magnitude
    for _ in 0..<abs(exponent) { mantissa = exponent < 0 ? mantissa * 10 : mantissa / 10 }
    if mantissa >= 9.9999999 {
      mantissa /= 10
      exponent += 1
    }
    return "\(self < 0 ? "-" : "")\(mantissa.fixed(digits - 1))e\(exponent)"
  }

  /// The exponent of the leading decimal digit.
  private var decimalExponent: Int {
    var exponent = 0
    var value = magnitude
    while value >= 10 {
      value /= 10
      exponent += 1
    }
    while value < 1 {
      value *= 10
      exponent -= 1
    }
    return exponent
  }

  /// As a percentage.
  var percent: String { percent(3) }

  /// Of a share among others, where small ones need no digits.
  var percentOfAll: String { "\((self * 100).fixed(1)) %" }

  func percent(_ digits: Int) -> String { "\((self * 100).significant(digits)) %" }
}

extension String {
  /// With control characters but line feeds written as escapes: names in other people's files must not steer a terminal.
  var printable: String {
    guard unicodeScalars.contains(where: \.isUnprintable) else { return self }
    return unicodeScalars.reduce(into: "") { text, scalar in
      text += scalar.isUnprintable ? scalar.escaped : String(scalar)
    }
  }

  /// JSON with these characters written as its own escapes, so that the strings in it stay what they are.
  var printableJSON: String {
    guard unicodeScalars.contains(where: \.isUnprintable) else { return self }
    return unicodeScalars.reduce(into: "") { text, scalar in
      text += scalar.isUnprintable ? scalar.escapedInJSON : String(scalar)
    }
  }

  /// On one line.
  var onOneLine: String { split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\\u{A}") }

  func leftPadded(to width: Int, with filler: Character = " ") -> String {
    String(repeating: filler, count: Swift.max(0, width - count)) + self
  }

  func rightPadded(to width: Int) -> String { self + String(repeating: " ", count: Swift.max(0, width - count)) }

  /// The middle cut out of what is too long.
  func shortened(to width: Int) -> String {
    guard count > width, width > 3 else { return self }
    let tail = (width - 1) * 2 / 3
    return "\(prefix(width - 1 - tail))…\(suffix(tail))"
  }
}

/// `1 tensor`, `2 tensors`.
func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

/// What is said of numbers of a merged model that are too large for their dtype.
func overflowNotes(_ count: Int, of model: String) -> [String] {
  count == 0 ? [] : ["\(counted(count, "number")) of the \(model) too large for the dtype became infinite"]
}

/// A table for people: the first column to the left, the others to the right, as wide as the terminal. What is not a terminal gets
/// names in full.
struct TextTable {
  private static let width: Int = {
    guard isatty(STDOUT_FILENO) == 1 else { return .max }
    var size = winsize()
    guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 100 }
    return max(80, Int(size.ws_col))
  }()
  private let header: [String]
  /// Columns that are text: to the left.
  private let leftColumns: Set<Int>
  private var rows: [[String]] = []

  init(_ header: [String], leftColumns: Set<Int> = [0]) {
    self.header = header
    self.leftColumns = leftColumns
  }

  mutating func add(_ row: [String]) { rows.append(row.map(\.onOneLine.printable)) }

  /// The header, a rule, and the rows.
  var lines: [String] {
    var widths = header.indices.map { column in ([header] + rows).map { $0[column].count }.max() ?? 0 }
    // The first column gives way.
    let excess = widths.reduce(0, +) + 2 * (widths.count - 1) - Self.width
    if excess > 0 { widths[0] = max(12, widths[0] - excess) }
    func line(_ cells: [String]) -> String {
      let padded = cells.enumerated().map { column, cell in
        let cell = cell.shortened(to: widths[column])
        return leftColumns.contains(column) ? cell.rightPadded(to: widths[column]) : cell.leftPadded(to: widths[column])
      }
      return padded.joined(separator: "  ").trimmingTrailingSpaces()
    }
    return [line(header), line(widths.map { String(repeating: "─", count: $0) })] + rows.map(line)
  }
}

extension Unicode.Scalar {
  fileprivate var isUnprintable: Bool { self != "\n" && (value < 0x20 || (0x7F...0x9F).contains(value)) }

  fileprivate var escaped: String { "\\u{\(String(value, radix: 16, uppercase: true))}" }

  fileprivate var escapedInJSON: String { "\\u" + String(value, radix: 16).leftPadded(to: 4, with: "0") }
}

extension String {
  fileprivate func trimmingTrailingSpaces() -> String {
    var text = self[...]
    while text.last == " " { text.removeLast() }
    return String(text)
  }
}
