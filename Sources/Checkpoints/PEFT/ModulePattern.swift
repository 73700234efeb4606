import TMPackByteIO

/// A key of `rank_pattern` or `alpha_pattern`: a regular expression that a module's whole name must match, or its end
/// behind a dot. As in peft, `(.*\.)?(KEY)$`.
///
/// Of Python's expressions: characters, `.`, `\d \w \s` and their opposites, sets, groups, `|`, `* + ?`, `^` and `$`.
/// Others are refused, and so is nothing that real adapters are known to have. All ways to match are followed at once,
/// so that a hostile pattern costs no more than its length times the name's.
package struct ModulePattern: Sendable {
  package let text: String
  private let program: [Instruction]
  /// The pattern's bytes, if all it has of an expression are dots: the usual case, and compared without the program.
  private let plain: [UInt8]?

  private enum Instruction {
    case one(ScalarSet)
    case split(Int, Int)
    case start
    case end
    case match
  }

  /// - Throws: `unsupportedFeature` for what is not supported, `malformed` for what is no expression.
  package init(_ text: String) throws(StorageError) {
    try Limits.check(text.utf8.count, atMost: Limits.nameBytes, "the length of the pattern \"\(text)\"")
    self.text = text
    plain = text.utf8.contains { Self.special.contains($0) } ? nil : Array(text.utf8)
    var parser = Parser(text)
    program = Self.compiled(try parser.expression()) + [.match]
  }

  private static let special = Set("\\[](){}*+?|^$".utf8)

  package func matches(_ module: String) -> Bool {
    plain.map { Self.matches($0, Array(module.utf8)) } ?? run(Array(module.unicodeScalars))
  }

  private static func matches(_ pattern: [UInt8], _ name: [UInt8]) -> Bool {
    let dot = UInt8(ascii: ".")
    guard name.allSatisfy({ $0 < 0x80 }) else {
      return pattern == name || name.suffix(pattern.count + 1) == [dot] + pattern
    }
    let start = name.count - pattern.count
    guard start == 0 || start > 0 && name[start - 1] == dot else { return false }
    return zip(pattern, name[start...]).allSatisfy { $0 == dot || $0 == $1 }
  }

  // MARK: Matching

  private func run(_ name: [Unicode.Scalar]) -> Bool {
    var states = States(program.count)
    for (place, scalar) in name.enumerated() {
      if place == 0 || name[place - 1] == "." { add(0, to: &states, at: place, of: name.count) }
      var next = States(program.count)
      for state in states.list {
        if case .one(let set) = program[state], set.contains(scalar) {
          add(state + 1, to: &next, at: place + 1, of: name.count)
        }
      }
      states = next
    }
    if name.isEmpty || name.last == "." { add(0, to: &states, at: name.count, of: name.count) }
    return states.list.contains { if case .match = program[$0] { true } else { false } }
  }

  private struct States {
    var list: [Int] = []
    var seen: [Bool]
    init(_ count: Int) { seen = [Bool](repeating: false, count: count) }
  }

  /// Adds a state, and those that it leads to without a character.
  private func add(_ state: Int, to states: inout States, at place: Int, of count: Int) {
    var pending = [state]
    while let state = pending.popLast() {
      if states.seen[state] { continue }
      states.seen[state] = true
      switch program[state] {
      case .one, .match: states.list.append(state)
      case .split(let first, let second): pending += [state + first, state + second]
      case .start: if place == 0 { pending.append(state + 1) }
      case .end: if place == count { pending.append(state + 1) }
      }
    }
  }

  // MARK: Compiling

  private indirect enum Node {
    case one(ScalarSet)
    case start
    case end
    case sequence([Node])
    case either(Node, Node)
    case repeated(Node, atLeastOnce: Bool)
    case optional(Node)
  }

  /// Jumps are relative, so that parts can be put together.
  private static func compiled(_ node: Node) -> [Instruction] {
    switch node {
    case .one(let set): return [.one(set)]
    case .start: return [.start]
    case .end: return [.end]
    case .sequence(let nodes): return nodes.flatMap(compiled)
    case .either(let first, let second):
      let (one, other) = (compiled(first), compiled(second))
      return [.split(1, one.count + 2)] + one + [.split(other.count + 1, other.count + 1)] + other
    case .repeated(let node, let atLeastOnce):
      let body = compiled(node)
      if atLeastOnce { return body + [.split(-body.count, 1)] }
      return [.split(1, body.count + 2)] + body + [.split(-body.count, 1)]
    case .optional(let node):
      let body = compiled(node)
      return [.split(1, body.count + 1)] + body
    }
  }

  // MARK: Parsing

  private struct Parser {
    let text: String
    var rest: Substring.UnicodeScalarView
    var depth = 0

    init(_ text: String) {
      self.text = text
      rest = text[...].unicodeScalars
    }

    private func malformed(_ why: String) -> StorageError {
      StorageError(.malformed, "the pattern \"\(text)\" \(why)")
    }

    private func unsupported(_ what: String) -> StorageError {
      StorageError(.unsupportedFeature, "the pattern \"\(text)\" has \(what), which is not supported")
    }

    mutating func expression() throws(StorageError) -> Node {
      let node = try alternatives()
      guard rest.isEmpty else { throw malformed("has a ) too many") }
      return node
    }

    private mutating func alternatives() throws(StorageError) -> Node {
      var node = try sequence()
      while rest.first == "|" {
        rest.removeFirst()
        node = .either(node, try sequence())
      }
      return node
    }

    private mutating func sequence() throws(StorageError) -> Node {
      var nodes: [Node] = []
      while let scalar = rest.first, scalar != "|", scalar != ")" {
        rest.removeFirst()
        nodes.append(try quantified(try atom(scalar)))
      }
      return .sequence(nodes)
    }

    private mutating func quantified(_ node: Node) throws(StorageError) -> Node {
      let quantified: Node
      switch rest.first {
      case "*": quantified = .repeated(node, atLeastOnce: false)
      case "+": quantified = .repeated(node, atLeastOnce: true)
      case "?": quantified = .optional(node)
      case "{": throw unsupported("a counted repetition")
      default: return node
      }
      rest.removeFirst()
      // Lazy or not, the same names match.
      if rest.first == "?" { rest.removeFirst() }
      if let next = rest.first, "*+?{".unicodeScalars.contains(next) { throw malformed("repeats a repetition") }
      return quantified
    }

    private mutating func atom(_ scalar: Unicode.Scalar) throws(StorageError) -> Node {
      switch scalar {
      case ".": return .one(.any)
      case "^": return .start
      case "$": return .end
      case "\\": return .one(try escape())
      case "[": return .one(try set())
      case "(": return try group()
      case "*", "+", "?": throw malformed("repeats nothing")
      default: return .one(ScalarSet(scalar))
      }
    }

    private mutating func group() throws(StorageError) -> Node {
      depth += 1
      try Limits.check(depth, atMost: Limits.jsonDepth, "the depth of groups in the pattern \"\(text)\"")
      if rest.first == "?" {
        rest.removeFirst()
        guard rest.first == ":" else { throw unsupported("an extension (?…)") }
        rest.removeFirst()
      }
      let node = try alternatives()
      guard rest.first == ")" else { throw malformed("lacks a )") }
      rest.removeFirst()
      depth -= 1
      return node
    }

    private mutating func escape() throws(StorageError) -> ScalarSet {
      guard let scalar = rest.popFirst() else { throw malformed("ends with a backslash") }
      if let known = ScalarSet(class: scalar) { return known }
      // Letters and digits mean something else, such as a reference to a group.
      guard !scalar.properties.isAlphabetic, scalar.properties.numericType == nil else {
        throw unsupported("the escape \\\(scalar)")
      }
      return ScalarSet(scalar)
    }

    private mutating func set() throws(StorageError) -> ScalarSet {
      var set = ScalarSet()
      if rest.first == "^" {
        rest.removeFirst()
        set.isNegated = true
      }
      var isFirst = true
      while let scalar = rest.popFirst() {
        if scalar == "]", !isFirst { return set }
        isFirst = false
        if scalar == "\\" {
          let escaped = try escape()
          guard !escaped.isNegated else { throw unsupported("a negated class within a set") }
          set.ranges += escaped.ranges
        } else if rest.first == "-", let last = rest.dropFirst().first, last != "]" {
          rest.removeFirst(2)
          guard last != "\\", scalar <= last else { throw malformed("has a range that is none") }
          set.ranges.append(scalar...last)
        } else {
          set.ranges.append(scalar...scalar)
        }
      }
      throw malformed("lacks a ]")
    }
  }
}

/// Characters that one place of a pattern may have.
private struct ScalarSet {
  var ranges: [ClosedRange<Unicode.Scalar>] = []
  var isNegated = false

  static let any = ScalarSet(ranges: [], isNegated: true)

  func contains(_ scalar: Unicode.Scalar) -> Bool { ranges.contains { $0.contains(scalar) } != isNegated }
}

extension ScalarSet {
  init(_ scalar: Unicode.Scalar) { ranges = [scalar...scalar] }

  /// `\d`, `\w`, `\s` and their opposites, of ASCII, which is what modules are named in.
  init?(class scalar: Unicode.Scalar) {
    switch scalar {
    case "d", "D": ranges = ["0"..."9"]
    case "w", "W": ranges = ["0"..."9", "A"..."Z", "a"..."z", "_"..."_"]
    case "s", "S": ranges = [" "..." ", "\t"..."\r"]
    default: return nil
    }
    isNegated = scalar.properties.isUppercase
  }
}
