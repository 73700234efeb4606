import TMPackByteIO

/// A pattern for tensor names, as Python's `fnmatch` reads it: `*` any run of characters (dots too), `?` any one,
/// `[a-z]` one of a set, `[!a-z]` one outside it. Case matters; every other character stands for itself.
package struct Glob: Sendable, Hashable {
  package let pattern: String
  private let tokens: [Token]

  private enum Token: Sendable, Hashable {
    case one(Unicode.Scalar)
    case anyOne
    case anyRun
    case set([ClosedRange<Unicode.Scalar>], negated: Bool)

    func matches(_ scalar: Unicode.Scalar) -> Bool {
      switch self {
      case .one(let own): scalar == own
      case .anyOne, .anyRun: true
      case .set(let ranges, let negated): ranges.contains { $0.contains(scalar) } != negated
      }
    }
  }

  /// - Throws: `invalidArgument` for a set that does not end or a range that runs backwards.
  package init(_ pattern: String) throws(StorageError) {
    self.pattern = pattern
    var tokens: [Token] = []
    var rest = Substring(pattern).unicodeScalars
    while let scalar = rest.popFirst() {
      switch scalar {
      case "*": if tokens.last != .anyRun { tokens.append(.anyRun) }
      case "?": tokens.append(.anyOne)
      case "[": tokens.append(try Self.set(&rest, of: pattern))
      default: tokens.append(.one(scalar))
      }
    }
    self.tokens = tokens
  }

  /// What follows a `[`. A `]` that comes first belongs to the set.
  private static func set(
    _ rest: inout Substring.UnicodeScalarView, of pattern: String
  ) throws(StorageError) -> Token {
    let negated = rest.first == "!"
    if negated { rest.removeFirst() }
    var ranges: [ClosedRange<Unicode.Scalar>] = []
    while let low = rest.popFirst() {
      if low == "]", !ranges.isEmpty { return .set(ranges, negated: negated) }
      var high = low
      if rest.first == "-", let end = rest.dropFirst().first, end != "]" {
        rest.removeFirst(2)
        high = end
      }
      guard low <= high else {
        throw StorageError(.invalidArgument, "the pattern \"\(pattern)\" has the backward range \(low)-\(high)")
      }
      ranges.append(low...high)
    }
    throw StorageError(.invalidArgument, "the pattern \"\(pattern)\" has a '[' without its ']'")
  }

  /// Whether the whole of `name` fits the pattern.
  ///
  /// - Complexity: O(name × pattern) at worst: only the last `*` is ever tried again.
  package func matches(_ name: String) -> Bool {
    let name = Array(name.unicodeScalars)
    var token = 0
    var place = 0
    var retry: (token: Int, place: Int)?
    while place < name.count {
      if token < tokens.count, tokens[token] == .anyRun {
        token += 1
        retry = (token, place)
      } else if token < tokens.count, tokens[token].matches(name[place]) {
        token += 1
        place += 1
      } else if let last = retry {
        // The last run takes one more character.
        retry = (last.token, last.place + 1)
        token = last.token
        place = last.place + 1
      } else {
        return false
      }
    }
    return tokens[token...].allSatisfy { $0 == .anyRun }
  }
}
