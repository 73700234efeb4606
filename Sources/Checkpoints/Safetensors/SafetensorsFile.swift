import TMPackByteIO
import TMPackTensorKit

/// A safetensors file, open for reading: its header is in memory, its tensors are read when asked for.
///
/// ```swift
/// let file = try SafetensorsFile("model.safetensors")
/// for info in file.tensors {
///   try file.bytes(of: info).withBytes { print(info.name, info.shape, $0.count) }
/// }
/// ```
///
/// Mapped, `bytes(of:)` gives views of the mapping and copies nothing. A file that another program cuts short while
/// it is mapped ends the process with SIGBUS; `InputMode.read` reports it as an error instead.
package struct SafetensorsFile: TensorSource {
  package let tensors: [TensorInfo]
  package let metadata: [String: String]
  private let file: ReadableFile
  /// Where each tensor begins in the file, in the order of `tensors`.
  private let begins: [UInt64]

  package var label: String { file.path }
  package var path: String { file.path }

  /// Reads and checks the header; see `SafetensorsHeader.init(parsing:fileSize:)`.
  package init(_ path: String, mode: InputMode = .automatic) throws(StorageError) {
    try self.init(ReadableFile(path, mode: mode))
  }

  init(_ file: ReadableFile) throws(StorageError) {
    let (header, dataStart) = try located(file: file.path) { () throws(StorageError) in
      let lengthBytes = SafetensorsKey.lengthBytes
      let length = try file.withBytes(at: 0, count: lengthBytes) { bytes throws(StorageError) in
        var input = ByteReader(bytes)
        return try SafetensorsHeader.length(parsing: &input, fileSize: file.size)
      }
      return try file.withBytes(at: 0, count: lengthBytes + length) { bytes throws(StorageError) in
        var input = ByteReader(bytes)
        return (try SafetensorsHeader(parsing: &input, fileSize: file.size), input.offset)
      }
    }
    self.file = file
    metadata = header.metadata
    let byName = header.entries.sorted { $0.info.name.precedesInBytes($1.info.name) }
    tensors = byName.map(\.info)
    begins = byName.map { dataStart + $0.begin }
  }

  package func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    precondition(destination.count == info.byteCount, "room for exactly the tensor")
    try file.read(at: begin(of: info), into: destination)
  }

  package func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes {
    let begin = try begin(of: info)
    // Old files have headers of any length, so a tensor may not be aligned for its elements.
    return try located(tensor: info.name) { () throws(StorageError) in
      try TensorBytes(of: file, at: begin, count: info.byteCount, alignment: info.dtype.planeWidth)
    }
  }

  package func stored(_ info: TensorInfo) throws(StorageError) -> StoredTensor? {
    StoredTensor(FileRange(file, at: try begin(of: info), count: info.byteCount))
  }

  private func begin(of info: TensorInfo) throws(StorageError) -> UInt64 { begins[try place(of: info)] }
}
