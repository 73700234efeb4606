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
  /// - Parameters:
  ///   - bytes: the elements of `info`.
  ///   - quantization: what it heeds, and where it says what is lost.
  /// - Throws: `nonFinite` for a value that a quantised type cannot hold; what reading the importance throws.
  package func encoded(
    _ bytes: TensorBytes, _ quantization: GGUFQuantization? = nil
  ) throws(StorageError) -> TensorBytes {
    precondition(bytes.count == info.byteCount, "all of the tensor")
    guard let block = type.block as? any QuantizableBlock.Type else { return bytes }
    return try located(tensor: info.name) { () throws(StorageError) in
      if let weightable = block as? any WeightableBlock.Type,
        let importance = try quantization?.importance?.values(of: info)
      {
        return try quantized(bytes, as: weightable, importance, quantization)
      }
      // A part's values stay in the second-level cache.
      return try quantized(bytes, as: block, step: 1024 * block.elementCount, quantization) {
        _, values, blocks throws(StorageError) in try block.quantize(values, into: blocks)
      }
    }
  }

  /// By rows, whose columns count differently.
  private func quantized<Block: WeightableBlock>(
    _ bytes: TensorBytes, as block: Block.Type, _ importance: [Float], _ quantization: GGUFQuantization?
  ) throws(StorageError) -> TensorBytes {
    let columns = info.shape.dimensions.last!
    let rows = info.shape.dimensions.dropLast().last ?? 1
    let isShared = importance.count == columns
    return try quantized(bytes, as: block, step: columns, quantization) { start, values, blocks throws(StorageError) in
      let first = isShared ? 0 : start / (rows * columns) * columns
      var failure: StorageError?
      importance.withUnsafeBufferPointer { importance in
        do throws(StorageError) {
          try Block.quantize(row: values, importance: importance.baseAddress! + first, into: blocks)
        } catch { failure = error }
      }
      if let failure { throw failure }
    }
  }

  /// - Parameter quantize: elements from some place on, as many as `step` or the rest.
  private func quantized(
    _ bytes: TensorBytes, as block: any QuantizableBlock.Type, step: Int, _ quantization: GGUFQuantization?,
    _ quantize: (Int, UnsafeBufferPointer<Float>, UnsafeMutableRawBufferPointer) throws(StorageError) -> Void
  ) throws(StorageError) -> TensorBytes {
    let format = info.dtype.floatFormat!
    let step = max(1, step)
    let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: step)
    defer { values.deallocate() }
    var loss = QuantizationLoss()
    let encoded = try TensorBytes(count: storedBytes) { memory throws(StorageError) in
      try bytes.withBytes { elements throws(StorageError) in
        let count = info.shape.elementCount
        for start in stride(from: 0, to: count, by: step) {
          let end = min(start + step, count)
          let part = UnsafeMutableBufferPointer(rebasing: values[..<(end - start)])
          let from = start * format.byteWidth..<end * format.byteWidth
          format.widen(UnsafeRawBufferPointer(rebasing: elements[from]), into: part)
          let into = start / block.elementCount * block.byteCount..<end / block.elementCount * block.byteCount
          let blocks = UnsafeMutableRawBufferPointer(rebasing: memory[into])
          try quantize(start, UnsafeBufferPointer(part), blocks)
          if quantization != nil { loss.add(UnsafeBufferPointer(part), UnsafeRawBufferPointer(blocks), as: block) }
        }
      }
    }
    quantization?.errors.add(info.name, lost: loss.lost, energy: loss.energy)
    return encoded
  }
}

/// What blocks are from the numbers that they were made of.
private struct QuantizationLoss {
  var lost = 0.0
  var energy = 0.0

  mutating func add<Block: QuantizedBlock>(
    _ values: UnsafeBufferPointer<Float>, _ blocks: UnsafeRawBufferPointer, as _: Block.Type
  ) {
    withUnsafeTemporaryAllocation(of: Float.self, capacity: Block.elementCount) { decoded in
      for index in 0..<values.count / Block.elementCount {
        Block.dequantize(blocks.baseAddress! + index * Block.byteCount, into: decoded.baseAddress!)
        let own = values.baseAddress! + index * Block.elementCount
        var sums: (lost: Float, energy: Float) = (0, 0)
        for j in 0..<Block.elementCount {
          let difference = own[j] - decoded[j]
          sums.lost += difference * difference
          sums.energy += own[j] * own[j]
        }
        lost += Double(sums.lost)
        energy += Double(sums.energy)
      }
    }
  }
}
