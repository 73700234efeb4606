import ByteIO
import TensorKit

/// Streams a GGUF file: the header first, then each tensor as it comes, quantised if the header says so. Nothing is
/// kept, and equal input gives equal bytes.
///
/// ```swift
/// let file = try AtomicFile("model.gguf")
/// var writer = try GGUFWriter(GGUFHeader(describing: source.tensors, metadata: metadata), to: file)
/// for entry in writer.header.entries {
///   try source.bytes(of: entry.info).withBytes { raw throws(StorageError) in try writer.append(raw) }
/// }
/// writer.finish()
/// try file.commit()
/// ```
public struct GGUFWriter: ~Copyable {
  public let header: GGUFHeader
  private let sink: any ByteSink
  private var next = 0

  /// Writes the header to `sink`.
  public init(_ header: GGUFHeader, to sink: any ByteSink) throws(StorageError) {
    var output = ByteWriter()
    try header.write(to: &output)
    try sink.write(output.bytes)
    self.header = header
    self.sink = sink
  }

  /// Writes the next tensor of `header.entries`.
  ///
  /// - Throws: `nonFinite` for a value that a quantised type cannot hold; what the sink throws.
  /// - Precondition: `bytes` are the elements of the entry's `info`, all of them.
  public mutating func append(_ bytes: UnsafeRawBufferPointer) throws(StorageError) {
    let entry = header.entries[next]
    precondition(bytes.count == entry.info.byteCount, "the tensor that comes next")
    switch entry.type {
    case .q8_0: try quantize(bytes, of: entry, as: Q8_0Block.self)
    case .q4_0: try quantize(bytes, of: entry, as: Q4_0Block.self)
    default: try sink.write(bytes)
    }
    let padding = entry.storedBytes.roundedUp(toMultipleOf: header.alignment) - entry.storedBytes
    if padding > 0 { try sink.write([UInt8](repeating: 0, count: padding)) }
    next += 1
  }

  /// - Precondition: every tensor was appended.
  public consuming func finish() {
    precondition(next == header.entries.count, "every tensor was written")
  }

  /// Quantises some blocks at a time, so that memory does not grow with the tensor.
  private func quantize<Block: QuantizableBlock>(
    _ bytes: UnsafeRawBufferPointer, of entry: GGUFHeader.Entry, as _: Block.Type
  ) throws(StorageError) {
    let format = entry.info.dtype.floatFormat!
    let step = 1024 * Block.elementCount
    let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: step)
    defer { values.deallocate() }
    let blocks = UnsafeMutableRawBufferPointer.allocate(byteCount: 1024 * Block.byteCount, alignment: 64)
    defer { blocks.deallocate() }
    let count = entry.info.shape.elementCount
    for start in stride(from: 0, to: count, by: step) {
      let length = min(step, count - start)
      let part = UnsafeMutableBufferPointer(rebasing: values[..<length])
      format.widen(
        UnsafeRawBufferPointer(rebasing: bytes[start * format.byteWidth..<(start + length) * format.byteWidth]),
        into: part)
      let stored = UnsafeMutableRawBufferPointer(rebasing: blocks[..<(length / Block.elementCount * Block.byteCount)])
      try located(tensor: entry.info.name) { () throws(StorageError) in
        try Block.quantize(UnsafeBufferPointer(part), into: stored)
      }
      try sink.write(UnsafeRawBufferPointer(stored))
    }
  }
}
