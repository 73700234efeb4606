import TMPackCKernels

// Elements of eight bits. ggml-common.h: block_q8_0, block_q8_K.

/// d (2), 32 signed quants: d · q.
enum Q8_0Block: QuantizableBlock {
  static let elementCount = 32
  static let byteCount = 34

  static func dequantize(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = block.half(0)
    for j in 0..<elementCount { values[j] = scale * Float(block.signedByte(2 + j)) }
  }

  /// The largest magnitude becomes 127, halves are rounded away from zero: `quantize_row_q8_0_ref`.
  static func quantize(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) -> Bool {
    quantize(values, blocks: 1, into: block)
  }

  static func quantize(
    _ values: UnsafePointer<Float>, blocks count: Int, into blocks: UnsafeMutableRawPointer
  ) -> Bool { tmpack_quantize_q8_0(tmpack_best_isa(), values, count, blocks) }
}

/// d (4, float32), 256 signed quants, 16 sums of 16 (2 each), which decoding does not need: d · q.
enum Q8_KBlock: QuantizedBlock {
  static let elementCount = 256
  static let byteCount = 292

  static func dequantize(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = Float(bitPattern: UInt32(littleEndian: block.loadUnaligned(as: UInt32.self)))
    for j in 0..<elementCount { values[j] = scale * Float(block.signedByte(4 + j)) }
  }
}
