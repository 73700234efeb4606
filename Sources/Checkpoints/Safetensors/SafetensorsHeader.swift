import TMPackByteIO
import TMPackTensorKit

/// The header of a safetensors file (huggingface/safetensors, README, "Format").
///
/// | bytes  | what                                                                                   |
/// |--------|----------------------------------------------------------------------------------------|
/// | 8      | n, the length of the header, unsigned                                                  |
/// | n      | JSON `{"__metadata__": {string: string}, name: {"dtype", "shape", "data_offsets"}, …}` |
/// |        | from `{` on, filled up with spaces                                                     |
/// | the rest | the tensors, row-major, without holes; `data_offsets` [begin, end) count from here   |
package struct SafetensorsHeader: Sendable, Equatable {
  /// A tensor and the bytes of the data part that hold it.
  package struct Entry: Sendable, Hashable {
    package let info: TensorInfo
    package let begin: UInt64
    package let end: UInt64
  }

  /// Free-form strings (`__metadata__`).
  package let metadata: [String: String]
  /// The tensors in the order of their bytes.
  package let entries: [Entry]

  package var dataByteCount: UInt64 { entries.last?.end ?? 0 }

  /// - Precondition: the entries keep the rules of the format; see `SafetensorsOutline`.
  init(metadata: [String: String], entries: [Entry]) {
    self.metadata = metadata
    self.entries = entries
  }

  /// Lays tensors out as the reference library does: wide elements first, so that all are aligned, then by name.
  ///
  /// - Throws: `malformed` when two have one name, or one has a name that the format keeps for itself;
  ///   `limitExceeded` when there are too many.
  package init(describing tensors: [TensorInfo], metadata: [String: String] = [:]) throws(StorageError) {
    try Self.check(tensors)
    let ordered = tensors.sorted { left, right in
      let (leftRank, rightRank) = (left.dtype.writingRank, right.dtype.writingRank)
      if leftRank != rightRank { return leftRank > rightRank }
      return left.name.precedesInBytes(right.name)
    }
    var entries: [Entry] = []
    entries.reserveCapacity(ordered.count)
    var begin: UInt64 = 0
    for info in ordered {
      let end = try begin.adding(UInt64(info.byteCount), "the size of the tensors")
      entries.append(Entry(info: info, begin: begin, end: end))
      begin = end
    }
    self.init(metadata: metadata, entries: entries)
  }
}

/// The format's own names.
enum SafetensorsKey {
  static let metadata = "__metadata__"
  static let dtype = "dtype"
  static let shape = "shape"
  static let offsets = "data_offsets"
  static let lengthBytes = 8
}
