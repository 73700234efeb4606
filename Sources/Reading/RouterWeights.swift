import TMPackByteIO

/// How much of each expert goes into a reconstruction. The numbers are used as they are: never normalised.
public struct RouterWeights: Sendable, Hashable {
  /// In the order given; names are unique and weights finite.
  public let entries: [(name: String, weight: Float)]

  /// The shared model alone.
  public static let shared = RouterWeights(checked: [])

  /// One expert, whole.
  public static func expert(_ name: String) -> RouterWeights { RouterWeights(checked: [(name, 1)]) }

  private init(checked entries: [(name: String, weight: Float)]) { self.entries = entries }

  /// - Throws: `invalidArgument` for a name given twice, or a weight that is not finite.
  public init(_ entries: [(name: String, weight: Float)]) throws(StorageError) {
    var seen: Set<ExactString> = []
    for (name, weight) in entries {
      guard seen.insert(ExactString(name)).inserted else {
        throw StorageError(.invalidArgument, "the expert '\(name)' is given two weights")
      }
      guard weight.isFinite else {
        throw StorageError(.invalidArgument, "the weight of expert '\(name)' is not a finite number")
      }
    }
    self.entries = entries
  }

  /// Parses `math=0.7,code=0.3`.
  public init(parsing text: String) throws(StorageError) {
    var entries: [(name: String, weight: Float)] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let sides = part.split(separator: "=", omittingEmptySubsequences: false)
      guard sides.count == 2, !sides[0].isEmpty, let weight = Float(sides[1]) else {
        throw StorageError(.invalidArgument, "'\(part)' is not of the form NAME=WEIGHT")
      }
      entries.append((String(sides[0]), weight))
    }
    try self.init(entries)
  }

  public static func == (left: Self, right: Self) -> Bool {
    left.entries.elementsEqual(right.entries) { $0.name.hasSameBytes(as: $1.name) && $0.weight == $1.weight }
  }

  public func hash(into hasher: inout Hasher) {
    for entry in entries {
      hasher.combine(ExactString(entry.name))
      hasher.combine(entry.weight)
    }
  }
}
