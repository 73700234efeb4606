import TMPackByteIO
import TMPackTensorKit

/// What comes before the tensors in a GGUF file (ggml-org/ggml, docs/gguf.md, "File Structure").
/// All numbers are little-endian, in a big-endian file big-endian; the version tells which.
///
/// | bytes     | what                                                                                          |
/// |-----------|-----------------------------------------------------------------------------------------------|
/// | 4         | `GGUF`                                                                                        |
/// | 4         | version: 2 or 3, which differ in what is said of big-endian files only                        |
/// | 8, 8      | number of tensors, number of metadata entries                                                 |
/// | …         | each entry: key (a string), type of the value (4), value                                      |
/// | …         | each tensor: name (a string), n (4), n dimensions of 8, fastest first, type (4), offset (8)   |
/// | …         | zeros up to a multiple of the alignment; offsets count from here and are multiples of it, too |
package struct GGUFHeader: Sendable, Equatable {
  /// A tensor and where it is.
  package struct Entry: Sendable, Hashable {
    /// As it is read, or as it is handed to `GGUFWriter`; its dimensions are row-major, slowest first.
    package let info: TensorInfo
    /// As it is stored.
    package let type: GGUFTensorType
    /// From the start of the data part.
    package let offset: UInt64
    /// Bytes that it takes in the file.
    package let storedBytes: Int

    init(info: TensorInfo, type: GGUFTensorType, offset: UInt64) throws(StorageError) {
      self.info = info
      self.type = type
      self.offset = offset
      storedBytes = try located(tensor: info.name) { () throws(StorageError) in
        try type.storedByteCount(of: info.shape)
      }
    }
  }

  static let magic = Array("GGUF".utf8)
  /// The version that is written.
  static let version: UInt32 = 3
  static let defaultAlignment = 32
  /// That a tensor may have (`GGML_MAX_DIMS`); more are read all the same.
  static let dimensions = 4
  /// Bytes of a tensor's name that ggml has room for (`GGML_MAX_NAME` and its final zero).
  static let nameBytes = 63
  /// The block layouts that quantised tensors have had since May 2023 (`GGML_QNT_VERSION`).
  static let quantizationVersion: UInt32 = 2

  package let metadata: TypedMetadata
  /// The tensors in the order of the header.
  package let entries: [Entry]
  package let alignment: Int
  /// Of the file that was read; what is written is little-endian.
  let isBigEndian: Bool

  /// Every header passes here, whether it was read or is to be written.
  init(metadata: TypedMetadata, entries: [Entry], isBigEndian: Bool = false) throws(StorageError) {
    self.metadata = metadata
    self.entries = entries
    self.isBigEndian = isBigEndian
    alignment = try metadata.ggufAlignment()
    try validate()
  }

  /// Lays tensors out one after another, sorted by name.
  ///
  /// ```swift
  /// let header = try GGUFHeader(describing: source.tensors, metadata: metadata) { info in
  ///   GGUFTensorType.q8_0.suits(info) ? .q8_0 : nil
  /// }
  /// ```
  ///
  /// - Parameter type: how to store a tensor; nil for its own dtype. Only floats can be quantised.
  /// - Throws: `unsupportedFeature` for a dtype that GGUF does not have; `invalidArgument` for a type that the tensor
  ///   cannot be stored as; `malformed` when two tensors have one name, rows are not whole blocks, or
  ///   `general.alignment` is unusable; `limitExceeded`.
  package init(
    describing tensors: [TensorInfo], metadata: TypedMetadata = TypedMetadata(),
    storing type: (TensorInfo) -> GGUFTensorType? = { _ in nil }
  ) throws(StorageError) {
    try self.init(describing: tensors, metadata: metadata, storing: type) { _, _ in false }
  }

  /// - Parameter isStored: whether the tensor has the blocks of that type already, which need not be made then.
  init(
    describing tensors: [TensorInfo], metadata: TypedMetadata, storing type: (TensorInfo) -> GGUFTensorType?,
    isStored: (TensorInfo, GGUFTensorType) -> Bool
  ) throws(StorageError) {
    let alignment = UInt64(try metadata.ggufAlignment())
    var metadata = metadata
    var entries: [Entry] = []
    entries.reserveCapacity(tensors.count)
    var offset: UInt64 = 0
    for info in tensors.sortedByName() {
      guard info.shape.dimensions.count <= GGUFHeader.dimensions else {
        throw StorageError(
          .unsupportedFeature, "has shape \(info.shape); GGUF tensors have at most \(GGUFHeader.dimensions) dimensions",
          tensor: info.name)
      }
      let entry = try Entry(info: info, type: Self.type(type(info), for: info, isStored), offset: offset)
      offset = try offset.adding(UInt64(entry.storedBytes) + alignment, "the size of the tensors")
      offset = (offset - 1) & ~(alignment - 1)
      entries.append(entry)
    }
    if entries.contains(where: \.type.isQuantized), metadata[GGUFKey.quantizationVersion] == nil {
      metadata[GGUFKey.quantizationVersion] = .uint32(Self.quantizationVersion)
    }
    try self.init(metadata: metadata, entries: entries)
  }

  private static func type(
    _ wanted: GGUFTensorType?, for info: TensorInfo, _ isStored: (TensorInfo, GGUFTensorType) -> Bool
  ) throws(StorageError) -> GGUFTensorType {
    guard let wanted else {
      guard let own = GGUFTensorType(info.dtype) else {
        throw StorageError(
          .unsupportedFeature, "GGUF has no type for \(info.dtype.rawValue); convert it or leave it out",
          tensor: info.name)
      }
      return own
    }
    if isStored(info, wanted) { return wanted }
    let fits = wanted.isQuantized ? info.dtype.floatFormat != nil : wanted.dtype == info.dtype
    guard wanted.isWritable, fits else {
      throw StorageError(
        .invalidArgument, "cannot be written as \(wanted) from \(info.dtype.rawValue)", tensor: info.name)
    }
    return wanted
  }
}
