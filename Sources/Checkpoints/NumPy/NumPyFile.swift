import TMPackByteIO
import TMPackDigests
import TMPackTensorKit

/// Arrays that NumPy saved: one (`.npy`), or several in a ZIP archive (`.npz`), each named by its entry.
struct NumPyFile: TensorSource {
  /// What the array of a `.npy` file is called, which has no name: as `numpy.savez` calls its first.
  static let namelessArray = "arr_0"
  static let suffix = ".npy"

  let tensors: [TensorInfo]
  let notes: [String]
  private let arrays: [Array]
  private let file: ReadableFile
  private let archive: ZipArchive?

  var label: String { file.path }

  /// Where an array is: in the file, or in an entry.
  private struct Array: Sendable {
    let header: NumPyHeader
    /// From the start of the file or of the entry.
    let dataStart: Int
    let entry: ZipEntry?
  }

  /// A single array.
  init(_ file: ReadableFile) throws(StorageError) {
    let count = Int(min(file.size, UInt64(NumPyHeader.maximumBytes)))
    let array = try located(file: file.path) { () throws(StorageError) in
      try Self.array(file.bytes(at: 0, count: count), size: file.size, in: nil)
    }
    tensors = [try Self.info(Self.namelessArray, array.header)]
    notes = ["its array has no name; it is called \(Self.namelessArray)"]
    arrays = [array]
    self.file = file
    archive = nil
  }

  /// The arrays of an archive. Other entries are left out, and said.
  init(_ archive: ZipArchive) throws(StorageError) {
    var found: [(info: TensorInfo, array: Array)] = []
    var others: [String] = []
    var noNumbers: [String] = []
    var refusal: StorageError?
    for entry in archive.entries {
      guard entry.name.hasSuffix(Self.suffix) else {
        others.append(entry.name)
        continue
      }
      let name = String(entry.name.dropLast(Self.suffix.count))
      let array = try located(file: archive.file.path, tensor: name) { () throws(StorageError) -> Array? in
        // Nearly all headers are short.
        let prefix = try archive.prefix(of: entry, 256)
        if NumPyHeader.isOfNoNumbers(prefix) {
          do throws(StorageError) { _ = try Self.array(prefix, size: entry.size, in: entry) } catch {
            guard error.code == .unsupportedFeature else { throw error }
            // Nothing is left out that only damage makes look so: what is read whole is checked.
            guard entry.size <= Limits.pickleBytes else { throw error }
            _ = try archive.bytes(of: entry, atMost: Limits.pickleBytes)
            refusal = refusal ?? error.at(file: archive.file.path, tensor: name)
            noNumbers.append(name)
            return nil
          }
        }
        do throws(StorageError) { return try Self.array(prefix, size: entry.size, in: entry) } catch {
          guard error.code == .truncated, entry.size > UInt64(prefix.count) else { throw error }
          return try Self.array(archive.prefix(of: entry, NumPyHeader.maximumBytes), size: entry.size, in: entry)
        }
      }
      if let array { found.append((try Self.info(name, array.header), array)) }
    }
    if found.isEmpty, let refusal { throw refusal }
    found.sort { $0.info.name.precedesInBytes($1.info.name) }
    tensors = found.map(\.info)
    arrays = found.map(\.array)
    var notes =
      others.isEmpty ? [] : ["\(others.count) entries are no arrays: \(others.prefix(4).joined(separator: ", "))"]
    if !noNumbers.isEmpty {
      notes.append(
        "\(counted(noNumbers.count, "array")) of text or objects, not of numbers, left out: \(WritableFormat.listed(noNumbers))"
      )
    }
    self.notes = notes
    file = archive.file
    self.archive = archive
  }

  private static func info(_ name: String, _ header: NumPyHeader) throws(StorageError) -> TensorInfo {
    try TensorInfo(name: name, dtype: header.dtype, shape: header.shape)
  }

  private static func array(
    _ prefix: [UInt8], size: UInt64, in entry: ZipEntry?
  ) throws(StorageError) -> Array {
    let base = entry.map { $0.method == ZipFormat.stored ? $0.dataOffset : 0 } ?? 0
    let (header, start) = try prefix.withBytes { raw throws(StorageError) in
      var input = ByteReader(raw, at: base)
      let header = try NumPyHeader(parsing: &input)
      return (header, raw.count - input.remaining)
    }
    let needed = try UInt64(header.shape.byteCount(of: header.dtype))
    let available = size - UInt64(start)
    guard available >= needed else {
      throw StorageError(.truncated, "the array ends \(needed - available) bytes too early", offset: base + size)
    }
    guard available == needed else {
      throw StorageError(
        .malformed, "\(available - needed) bytes follow the array", offset: base + UInt64(start) + needed)
    }
    return Array(header: header, dataStart: start, entry: entry)
  }

  // MARK: Reading

  func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try bytes(of: info).withBytes { destination.copyMemory(from: $0) }
  }

  func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes {
    let array = arrays[try place(of: info)]
    return try located(file: label, tensor: info.name) { () throws(StorageError) in
      let raw = try rawBytes(array, info)
      guard array.header.isBigEndian || (array.header.isFortranOrder && info.shape.dimensions.count > 1) else {
        return raw
      }
      return try TensorBytes(count: info.byteCount) { memory throws(StorageError) in
        let view = try StridedView(
          offset: 0, shape: info.shape,
          strides: array.header.isFortranOrder
            ? StridedView.columnMajor(info.shape) : StridedView.rowMajor(info.shape), capacity: info.shape.elementCount)
        try raw.withBytes { view.gather($0, width: info.dtype.bitWidth / 8, into: memory) }
        if array.header.isBigEndian { swapBytes(of: memory, width: info.dtype.planeWidth) }
      }
    }
  }

  func stored(_ info: TensorInfo) throws(StorageError) -> StoredTensor? {
    let array = arrays[try place(of: info)]
    guard !array.header.isBigEndian || info.dtype.planeWidth == 1,
      !array.header.isFortranOrder || info.shape.dimensions.count < 2
    else { return nil }
    let start = UInt64(array.dataStart)
    guard let entry = array.entry, let archive else {
      return StoredTensor(FileRange(file, at: start, count: info.byteCount))
    }
    guard entry.method == ZipFormat.stored else { return nil }
    let header = try file.withBytes(at: entry.dataOffset, count: array.dataStart) { CRC32.of($0) }
    return StoredTensor(FileRange(file, at: entry.dataOffset + start, count: info.byteCount)) {
      checksum throws(StorageError) in
      try archive.check(header.followed(by: CRC32(checksum), count: info.byteCount), against: entry)
    }
  }

  /// The elements as they are in the file, their checksum checked.
  private func rawBytes(_ array: Array, _ info: TensorInfo) throws(StorageError) -> TensorBytes {
    guard let entry = array.entry, let archive else {
      return try TensorBytes(
        of: file, at: UInt64(array.dataStart), count: info.byteCount, alignment: info.dtype.planeWidth)
    }
    if entry.method == ZipFormat.deflated {
      let whole = try TensorBytes(count: Int(entry.size)) { memory throws(StorageError) in
        try archive.read(entry, into: memory)
      }
      return try whole.withBytes { bytes throws(StorageError) in
        TensorBytes(viewing: UnsafeRawBufferPointer(rebasing: bytes[array.dataStart...]), keeping: whole)
      }
    }
    let bytes = try TensorBytes(
      of: file, at: entry.dataOffset + UInt64(array.dataStart), count: info.byteCount, alignment: info.dtype.planeWidth)
    var checksum = CRC32()
    try file.withBytes(at: entry.dataOffset, count: array.dataStart) { checksum.update($0) }
    try bytes.withBytes { checksum.update($0) }
    try archive.check(checksum, against: entry)
    return bytes
  }
}
