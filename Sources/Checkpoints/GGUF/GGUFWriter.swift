import TMPackByteIO
import TMPackTensorKit

/// Streams a GGUF file: the header first, then each tensor as it comes. Nothing is kept, and equal input gives equal
/// bytes.
///
/// ```swift
/// let file = try AtomicFile("model.gguf")
/// var writer = try GGUFWriter(GGUFHeader(describing: source.tensors, metadata: metadata), to: file)
/// for entry in writer.header.entries {
///   try writer.append(entry.encoded(source.bytes(of: entry.info)))
/// }
/// writer.finish()
/// try file.commit()
/// ```
package struct GGUFWriter {
  package let header: GGUFHeader
  let sink: any ByteSink
  private var next = 0
  /// Where the next tensor begins.
  private var place: UInt64

  /// Writes the header to `sink`.
  package init(_ header: GGUFHeader, to sink: any ByteSink) throws(StorageError) {
    var output = ByteWriter()
    try header.write(to: &output)
    try sink.write(output.bytes)
    self.header = header
    self.sink = sink
    place = sink.position
  }

  /// Writes the next tensor of `header.entries`.
  ///
  /// - Throws: what the sink throws.
  /// - Precondition: `bytes` are the entry's, encoded.
  package mutating func append(_ bytes: TensorBytes) throws(StorageError) {
    try sink.write(bytes)
    try end()
  }

  /// Ends the tensor whose bytes were written to the sink.
  mutating func end() throws(StorageError) {
    let count = header.entries[next].storedBytes
    precondition(sink.position - place == UInt64(count), "all of the tensor that comes next")
    let padding = count.roundedUp(toMultipleOf: header.alignment) - count
    if padding > 0 { try sink.write([UInt8](repeating: 0, count: padding)) }
    place = sink.position
    next += 1
  }

  /// - Precondition: every tensor was appended.
  package mutating func finish() {
    precondition(next == header.entries.count, "every tensor was written")
  }
}

extension GGUFHeader.Entry {
  /// The tensor as it is stored: quantised if its type says so.
  ///
  /// - Parameter bytes: the elements of `info`.
  /// - Throws: `nonFinite` for a value that a quantised type cannot hold.
  package func encoded(_ bytes: TensorBytes) throws(StorageError) -> TensorBytes {
    precondition(bytes.count == info.byteCount, "all of the tensor")
    guard let block = type.block as? any QuantizableBlock.Type else { return bytes }
    return try quantized(bytes, as: block)
  }

  private func quantized<Block: QuantizableBlock>(
    _ bytes: TensorBytes, as _: Block.Type
  ) throws(StorageError) -> TensorBytes {
    let format = info.dtype.floatFormat!
    // A part's values stay in the second-level cache.
    let step = 1024 * Block.elementCount
    let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: step)
    defer { values.deallocate() }
    return try located(tensor: info.name) { () throws(StorageError) in
      try TensorBytes(count: storedBytes) { memory throws(StorageError) in
        try bytes.withBytes { elements throws(StorageError) in
          let count = info.shape.elementCount
          for start in stride(from: 0, to: count, by: step) {
            let end = min(start + step, count)
            let part = UnsafeMutableBufferPointer(rebasing: values[..<(end - start)])
            let from = start * format.byteWidth..<end * format.byteWidth
            format.widen(UnsafeRawBufferPointer(rebasing: elements[from]), into: part)
            let into = start / Block.elementCount * Block.byteCount..<end / Block.elementCount * Block.byteCount
            try Block.quantize(
              UnsafeBufferPointer(part), into: UnsafeMutableRawBufferPointer(rebasing: memory[into]))
          }
        }
      }
    }
  }
}
