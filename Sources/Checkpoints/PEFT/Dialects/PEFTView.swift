import TMPackByteIO
import TMPackTensorKit

/// An adapter of another library, seen as peft would have saved it: its tensors under peft's names and in peft's layout,
/// made as they are read, and a configuration that says the same.
struct PEFTView: TensorSource {
  /// How a tensor lies in the file.
  enum Part: Sendable {
    case same(TensorInfo)
    /// Rows for columns.
    case transposed(TensorInfo)
    /// One matrix of a stack.
    case matrix(Int, of: TensorInfo)

    var stored: TensorInfo {
      switch self {
      case .same(let info), .transposed(let info), .matrix(_, of: let info): info
      }
    }
  }

  private(set) var tensors: [TensorInfo] = []
  private let source: any TensorSource
  private var parts: [ExactString: Part] = [:]

  init(_ source: any TensorSource) { self.source = source }

  var label: String { source.label }
  var metadata: [String: String] { source.metadata }
  var notes: [String] { source.notes }

  /// Adds a tensor. Once all are there, `sort`.
  ///
  /// - Throws: `malformed` for one that is there.
  mutating func add(_ name: String, _ shape: [Int], _ part: Part) throws(StorageError) {
    let stored = part.stored
    try located(tensor: stored.name) { () throws(StorageError) in
      guard parts.updateValue(part, forKey: ExactString(name)) == nil else {
        throw StorageError(.malformed, "means the same as another tensor; a file may hold one adapter only")
      }
      tensors.append(try TensorInfo(name: name, dtype: stored.dtype, shape: Shape(shape)))
    }
  }

  mutating func sort() { tensors = tensors.sortedByName() }

  func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    guard let part = parts[ExactString(info.name)] else { throw unknown(info) }
    let width = info.dtype.bitWidth / 8
    try source.bytes(of: part.stored).withBytes { raw in
      switch part {
      case .same: destination.copyMemory(from: raw)
      case .matrix(let number, _):
        let start = number * info.byteCount
        destination.copyMemory(from: UnsafeRawBufferPointer(rebasing: raw[start..<start + info.byteCount]))
      case .transposed:
        let (rows, columns) = (info.shape.dimensions[0], info.shape.dimensions[1])
        for row in 0..<rows {
          for column in 0..<columns {
            for byte in 0..<width {
              destination[(row * columns + column) * width + byte] = raw[(column * rows + row) * width + byte]
            }
          }
        }
      }
    }
  }

  func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes {
    if case .same(let stored)? = parts[ExactString(info.name)] { return try source.bytes(of: stored) }
    return try located(file: label, tensor: info.name) { () throws(StorageError) in
      try TensorBytes(count: info.byteCount) { buffer throws(StorageError) in try read(info, into: buffer) }
    }
  }
}
