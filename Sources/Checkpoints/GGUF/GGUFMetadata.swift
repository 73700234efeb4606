import TMPackByteIO
import TMPackTensorKit

/// The keys that the GGUF document gives a meaning, as far as it matters here.
enum GGUFKey {
  static let alignment = "general.alignment"
  static let quantizationVersion = "general.quantization_version"
  /// Which network it is; the only key that every file must have.
  static let architecture = "general.architecture"
  /// How most of the tensors are stored.
  static let fileType = "general.file_type"
  /// Of how many files of a split model this is one.
  static let splitCount = "split.count"
  static let splitNumber = "split.no"
  static let splitTensors = "split.tensors.count"

  /// What only describes the layout of the file.
  static let layout: Set<String> = [alignment, quantizationVersion, fileType]
}

extension TypedMetadata {
  /// What the data part and each tensor in it begin at a multiple of.
  ///
  /// - Throws: `malformed` unless it is a UINT32 and a power of two, as ggml and gguf-py demand (the document says a
  ///   multiple of 8), `limitExceeded` above `Limits.ggufAlignment`.
  func ggufAlignment() throws(StorageError) -> Int {
    guard let value = self[GGUFKey.alignment] else { return GGUFHeader.defaultAlignment }
    guard case .uint32(let alignment) = value else {
      throw StorageError(.malformed, "\(GGUFKey.alignment) is not a UINT32")
    }
    guard alignment.nonzeroBitCount == 1 else {
      throw StorageError(.malformed, "\(GGUFKey.alignment) is \(alignment), not a power of two")
    }
    try Limits.check(alignment, atMost: Limits.ggufAlignment, GGUFKey.alignment)
    return Int(alignment)
  }

  /// Without what describes a layout in the strings of another format: its type is lost, and it would not be valid.
  var withoutLayoutInStrings: TypedMetadata {
    var copy = self
    for key in GGUFKey.layout {
      if case .string = self[key] { copy[key] = nil }
    }
    return copy
  }
}
