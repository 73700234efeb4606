import TMPackByteIO

/// A reader that is given bytes which anyone may have made.
///
/// Whatever they are, `read` returns or throws a `StorageError`: a trap, an error of memory or of the sanitizers, and a hang are
/// findings.
package struct FuzzTarget: Sendable {
  package let name: String
  /// Files of the package that a corpus begins with, by folder or name; for formats that take more than one file a folder is one input.
  package let seeds: [String]
  /// What a campaign makes no longer inputs than.
  package let longest: Int
  package let read: @Sendable ([UInt8]) throws(StorageError) -> Void

  init(
    _ name: String, seeds: [String] = [], longest: Int = 4096,
    _ read: @escaping @Sendable ([UInt8]) throws(StorageError) -> Void
  ) {
    self.name = name
    self.seeds = seeds
    self.longest = longest
    self.read = read
  }

  package static let all = checkpoints + folders + archives + texts + codecs
}

extension [UInt8] {
  /// What is between the marks.
  func pieces(between mark: String) -> [[UInt8]] {
    let mark = Array(mark.utf8)
    var pieces: [[UInt8]] = []
    var rest = self[...]
    while let range = rest.firstRange(of: mark) {
      pieces.append(Array(rest[..<range.lowerBound]))
      rest = rest[range.upperBound...]
    }
    pieces.append(Array(rest))
    return pieces
  }
}
