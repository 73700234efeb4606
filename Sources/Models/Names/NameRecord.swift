import TMPackByteIO
import TMPackJSON
import TMPackTensorKit

/// What an expert's own tensors are called, and how they come of those in the archive: the text of `tmpack.names` in the expert's
/// metadata (TMP-6-31).
package struct NameRecord: Sendable {
  /// Of a manifest's metadata.
  package static let key = "tmpack.names"

  package let text: String

  package init(_ text: String) { self.text = text }

  /// - Parameter arrangements: the expert's tensors out of those that are packed.
  init(_ arrangements: [TensorArrangement]) {
    let entries = arrangements.compactMap { arrangement -> JSONValue? in
      let name = JSONValue.string(arrangement.info.name)
      if let whole = arrangement.whole {
        return whole.name.hasSameBytes(as: arrangement.info.name) ? nil : .array([name, .string(whole.name)])
      }
      let width = max(1, arrangement.info.dtype.bitWidth / 8)
      let copies = arrangement.copies.map { copy -> JSONValue in
        let numbers = [copy.count, copy.run, copy.sourceStart, copy.sourceStride, copy.start, copy.stride]
        let elements = zip(numbers, [1, width, width, width, width, width]).map { JSONValue($0 / $1) }
        return .array([.string(copy.source.name)] + elements)
      }
      return .array([name, .array(arrangement.info.shape.dimensions.map { JSONValue($0) })] + copies)
    }
    text = JSONValue.array(entries).compactText
  }

  /// The expert's own tensors out of these.
  ///
  /// - Parameter tensors: those of the archive, maybe in another dtype than they were packed in.
  /// - Throws: `malformed` for a text that is no record of these tensors.
  package func arrangements(of tensors: [TensorInfo]) throws(StorageError) -> [TensorArrangement] {
    guard case .array(let entries) = try JSONValue(parsing: Array(text.utf8)) else { throw Self.fault }
    var arrangements: [TensorArrangement] = []
    var used: Set<ExactString> = []
    for entry in entries {
      guard case .array(let parts) = entry, parts.count >= 2, case .string(let name) = parts[0] else {
        throw Self.fault
      }
      if case .string(let whole) = parts[1], parts.count == 2 {
        let info = try Self.tensor(whole, tensors, &used)
        arrangements.append(try TensorArrangement(info, named: name))
      } else {
        arrangements.append(try Self.arrangement(name, parts, tensors, &used))
      }
    }
    for info in tensors where !used.contains(ExactString(info.name)) {
      arrangements.append(try TensorArrangement(info, named: info.name))
    }
    arrangements.sort { $0.info.name.precedesInBytes($1.info.name) }
    for (a, b) in zip(arrangements, arrangements.dropFirst()) where a.info.name.hasSameBytes(as: b.info.name) {
      throw Self.fault
    }
    return arrangements
  }

  private static func arrangement(
    _ name: String, _ parts: [JSONValue], _ tensors: [TensorInfo], _ used: inout Set<ExactString>
  ) throws(StorageError) -> TensorArrangement {
    let shape = try Shape(numbers(parts[1]))
    var copies: [TensorArrangement.Copy] = []
    for part in parts[2...] {
      guard case .array(let members) = part, members.count == 7, case .string(let source) = members[0] else {
        throw fault
      }
      let info = try tensor(source, tensors, &used)
      let n = try numbers(.array(Array(members[1...])))
      let width = info.dtype.bitWidth / 8
      func bytes(_ elements: Int) throws(StorageError) -> Int { try elements.multiplied(by: width, "a place in bytes") }
      copies.append(
        .init(
          source: info, count: n[0], run: try bytes(n[1]), sourceStart: try bytes(n[2]), sourceStride: try bytes(n[3]),
          start: try bytes(n[4]), stride: try bytes(n[5])))
    }
    guard let dtype = copies.first?.source.dtype, copies.allSatisfy({ $0.source.dtype == dtype }),
      let arrangement = TensorArrangement(try TensorInfo(name: name, dtype: dtype, shape: shape), copies)
    else { throw fault }
    return arrangement
  }

  private static func tensor(
    _ name: String, _ tensors: [TensorInfo], _ used: inout Set<ExactString>
  ) throws(StorageError) -> TensorInfo {
    guard let index = tensors.index(ofTensor: name) else { throw fault }
    used.insert(ExactString(name))
    return tensors[index]
  }

  private static func numbers(_ value: JSONValue) throws(StorageError) -> [Int] {
    guard case .array(let values) = value else { throw fault }
    return try values.map { value throws(StorageError) in
      guard case .integer(let number) = value, let number = Int(exactly: number), number >= 0 else { throw fault }
      return number
    }
  }

  private static let fault = StorageError(
    .malformed,
    "its record of the expert's own names is none of its tensors"
  ).with(.takeArchiveNames)
}

extension TensorSource {
  /// Under the expert's own names again.
  package func renamed(by record: NameRecord) throws(StorageError) -> any TensorSource {
    AlignedSource(self, try record.arrangements(of: tensors))
  }
}
