#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// How text looks on a terminal: plain where `NO_COLOR` is set (no-color.org), on a dumb terminal, and in files and pipes.
enum TerminalStyle: String {
  case heading = "1"
  case faint = "2"
  case failure = "1;31"
  case remark = "33"

  func applied(to text: String, on descriptor: Int32) -> String {
    Self.isWanted && isatty(descriptor) == 1 ? "\u{1B}[\(rawValue)m\(text)\u{1B}[0m" : text
  }

  /// A message of the tool, with what it begins with set off.
  static func message(_ text: String, on descriptor: Int32) -> String {
    for (label, style) in labels where text.hasPrefix(label) {
      return style.applied(to: label, on: descriptor) + text.dropFirst(label.count)
    }
    return text
  }

  private static let labels: [(text: String, style: TerminalStyle)] = [
    ("tmpack:", .failure), ("warning:", .remark), ("note:", .remark),
  ]

  private static let isWanted = variable("NO_COLOR").isEmpty && variable("TERM") != "dumb"

  private static func variable(_ name: String) -> String { getenv(name).map { String(cString: $0) } ?? "" }
}
