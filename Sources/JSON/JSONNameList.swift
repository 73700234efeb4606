#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Names that the members of an object may have, in the order in which a canonical text has them.
package struct JSONNameList: Sendable {
  private let bytes: [UInt8]
  private let ends: [Int]

  /// - Precondition: not empty, ASCII without what strings escape, in ascending order.
  package init(_ names: [String]) {
    precondition(zip(names, names.dropFirst()).allSatisfy { $0 < $1 }, "names in canonical order")
    bytes = names.flatMap(\.utf8)
    ends = names.reduce(into: []) { $0.append(($0.last ?? 0) + $1.utf8.count) }
  }

  /// The place of a name, looked for from one on; one that is written with escapes is not found.
  func place(of name: JSONString, from first: Int) -> Int? {
    bytes.withUnsafeBufferPointer { bytes in
      ends.withUnsafeBufferPointer { ends in
        var start = first == 0 ? 0 : ends[first - 1]
        for place in first..<ends.count {
          let count = ends[place] - start
          if count == name.body.count, bytes[start] == name.body[0],
            memcmp(bytes.baseAddress! + start, name.body.baseAddress!, count) == 0
          {
            return place
          }
          start = ends[place]
        }
        return nil
      }
    }
  }
}
