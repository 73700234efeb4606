import TMPackByteIO
import TMPackTensorKit

/// A GGUF file, open for reading: its header is in memory, its tensors are read when asked for.
///
/// Plain elements are given as they are; blocks of a quantised type are decoded to F32, which is also what the tensor's
/// `dtype` says. `storedType(of:)` tells what is in the file.
///
/// Mapped, `bytes(of:)` gives views of plain elements and copies nothing; see `SafetensorsFile`.
package struct GGUFFile: TensorSource {
  package let tensors: [TensorInfo]
  /// All of the metadata, with its types; `metadata` has what fits strings.
  package let typedMetadata: TypedMetadata
  private let file: ReadableFile
  private let dataStart: UInt64
  private let isBigEndian: Bool
  /// In the order of `tensors`.
  private let entries: [GGUFHeader.Entry]

  package var label: String { file.path }
  package var path: String { file.path }
  package var metadata: [String: String] { typedMetadata.strings }
  package var notes: [String] {
    let quantized = entries.filter(\.type.isQuantized)
    guard !quantized.isEmpty else { return [] }
    let types = Set(quantized.map(\.type.description)).sorted().joined(separator: ", ")
    return ["\(quantized.count) of \(entries.count) tensors are quantised (\(types)); as numbers they are F32"]
  }

  /// Reads and checks the header.
  ///
  /// - Throws: `malformed`, `truncated`, `limitExceeded`; `unsupportedVersion` for version 1 and those after 3;
  ///   `unsupportedFeature` for a tensor type that cannot be read, named, and for a part of a split model.
  package init(_ path: String, mode: InputMode = .automatic) throws(StorageError) {
    try self.init(ReadableFile(path, mode: mode))
  }

  /// - Parameter acceptingParts: whether a part of a split model will do.
  init(_ file: ReadableFile, acceptingParts: Bool = false) throws(StorageError) {
    let (header, end) = try located(file: file.path) { () throws(StorageError) in
      let (header, end) = try Self.header(of: file)
      if !acceptingParts { try header.refuseParts() }
      return (header, end)
    }
    self.file = file
    dataStart = end.roundedUp(toMultipleOf: UInt64(header.alignment))
    isBigEndian = header.isBigEndian
    typedMetadata = header.metadata
    entries = header.entries.sorted { $0.info.name.precedesInBytes($1.info.name) }
    tensors = entries.map(\.info)
  }

  /// The header, and the byte after it. Its length is not written anywhere: without a mapping more and more is read
  /// until it is all there.
  private static func header(of file: ReadableFile) throws(StorageError) -> (GGUFHeader, end: UInt64) {
    let most = min(file.size, UInt64(Limits.ggufHeaderBytes))
    var count = file.isMapped ? most : min(most, 1 << 18)
    while true {
      do throws(StorageError) {
        return try file.withBytes(at: 0, count: Int(count)) { bytes throws(StorageError) in
          var input = ByteReader(bytes)
          return (try GGUFHeader(parsing: &input, fileSize: file.size), input.offset)
        }
      } catch  where error.code == .truncated && count < file.size {
        guard count < most else {
          throw StorageError(
            .limitExceeded, "the header is longer than the limit of \(Limits.ggufHeaderBytes) bytes; \(error.message)",
            offset: error.offset)
        }
        count = min(most, count * 8)
      }
    }
  }

  /// How the tensor is stored.
  /// - Throws: `unknownName` for what is none of `tensors`.
  package func storedType(of info: TensorInfo) throws(StorageError) -> GGUFTensorType { try entry(of: info).type }

  package func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    precondition(destination.count == info.byteCount, "room for exactly the tensor")
    let entry = try entry(of: info)
    // An empty tensor may say that it begins anywhere.
    guard entry.storedBytes > 0 else { return }
    let begin = dataStart + entry.offset
    guard let block = entry.type.block else {
      try file.read(at: begin, into: destination)
      if isBigEndian { swapBytes(of: destination, width: info.dtype.planeWidth) }
      return
    }
    try file.withBytes(at: begin, count: entry.storedBytes) { stored in block.dequantize(stored, into: destination) }
  }

  package func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes {
    let entry = try entry(of: info)
    if !entry.type.isQuantized, entry.storedBytes > 0, !isBigEndian || info.dtype.planeWidth == 1 {
      return try located(tensor: info.name) { () throws(StorageError) in
        try TensorBytes(
          of: file, at: dataStart + entry.offset, count: entry.storedBytes, alignment: info.dtype.planeWidth)
      }
    }
    return try TensorBytes(count: info.byteCount) { memory throws(StorageError) in
      try located(tensor: info.name) { () throws(StorageError) in try read(info, into: memory) }
    }
  }

  /// Blocks are decoded by themselves.
  package func piece(_ range: Range<Int>, of info: TensorInfo) throws(StorageError) -> [UInt8]? {
    let entry = try entry(of: info)
    guard entry.storedBytes > 0, !isBigEndian || info.dtype.planeWidth == 1 || entry.type.isQuantized else {
      return nil
    }
    let stored = FileRange(file, at: dataStart + entry.offset, count: entry.storedBytes)
    func bytes(_ range: Range<Int>) throws(StorageError) -> [UInt8] {
      try [UInt8](count: range.count) { target throws(StorageError) in
        try stored.copy(from: range.lowerBound, into: target)
      }
    }
    guard let block = entry.type.block else { return try bytes(range) }
    let width = block.elementCount * MemoryLayout<Float>.size
    let blocks = range.lowerBound / width..<(range.upperBound + width - 1) / width
    let own = try bytes(blocks.lowerBound * block.byteCount..<blocks.upperBound * block.byteCount)
    let decoded = try [UInt8](count: blocks.count * width) { target in
      own.withUnsafeBytes { block.dequantize($0, into: target) }
    }
    let first = range.lowerBound - blocks.lowerBound * width
    return decoded.count == range.count ? decoded : Array(decoded[first..<first + range.count])
  }

  package func stored(_ info: TensorInfo) throws(StorageError) -> StoredTensor? {
    let entry = try entry(of: info)
    guard entry.storedBytes > 0, !isBigEndian || info.dtype.planeWidth == 1 else { return nil }
    return StoredTensor(
      FileRange(file, at: dataStart + entry.offset, count: entry.storedBytes),
      encoding: entry.type.isQuantized ? .ggml(entry.type.rawValue) : .plain)
  }

  private func entry(of info: TensorInfo) throws(StorageError) -> GGUFHeader.Entry { entries[try place(of: info)] }
}
