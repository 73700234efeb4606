import ByteIO
import TensorKit

extension SafetensorsHeader {
  /// The rules that hold for a header whoever made it. Offsets of errors count from the start of the data.
  func validate() throws(StorageError) {
    try Limits.check(entries.count, atMost: Limits.tensors, "the number of tensors")
    var names = Set<ExactString>(minimumCapacity: entries.count)
    var position: UInt64 = 0
    for entry in entries {
      let name = entry.info.name
      func fault(_ message: String) -> StorageError {
        StorageError(.malformed, message, offset: entry.begin, tensor: name)
      }
      guard name != SafetensorsKey.metadata else { throw fault("the name is reserved") }
      guard names.insert(ExactString(name)).inserted else { throw fault("the name is there twice") }
      guard entry.begin <= entry.end else {
        throw fault("begins at data byte \(entry.begin), after its end at \(entry.end)")
      }
      guard entry.begin >= position else {
        throw fault("overlaps the tensor before it by \(position - entry.begin) bytes")
      }
      guard entry.begin == position else {
        throw fault("leaves a hole of \(entry.begin - position) bytes before it")
      }
      guard entry.end - entry.begin == UInt64(entry.info.byteCount) else {
        throw fault(
          "has \(entry.end - entry.begin) bytes; shape \(entry.info.shape) of \(entry.info.dtype.rawValue) needs "
            + "\(entry.info.byteCount)")
      }
      position = entry.end
    }
  }

  /// Whether the data ends where its file ends.
  /// - Parameter start: the file's byte where the data begins.
  func validate(fileSize: UInt64, dataStart start: UInt64) throws(StorageError) {
    let available = fileSize - start
    if let cut = entries.first(where: { $0.end > available }) {
      throw StorageError(
        .truncated, "the file ends \(dataByteCount - available) bytes too early", offset: fileSize,
        tensor: cut.info.name)
    }
    guard available == dataByteCount else {
      throw StorageError(
        .malformed, "\(available - dataByteCount) bytes follow the last tensor", offset: start + dataByteCount)
    }
  }
}
