import TMPackByteIO
import TMPackTensorKit

/// Elements that are stored together and share scales: the `block_*` structures of ggml-common.h.
///
/// Decoding multiplies and adds in float32, each step rounded, in the order that ggml and gguf-py do it, so that values
/// agree bit for bit.
protocol QuantizedBlock {
  static var elementCount: Int { get }
  static var byteCount: Int { get }

  /// Decodes one block: `byteCount` bytes, which may be unaligned, to `elementCount` values.
  static func dequantize(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>)
}

/// A block that can also be written.
protocol QuantizableBlock: QuantizedBlock {
  /// Encodes `elementCount` values, all of them finite.
  ///
  /// - Returns: false when the scale is too large for half precision.
  static func quantize(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) -> Bool

  /// Encodes `count` blocks at once, of finite values; false when a scale is too large.
  static func quantize(_ values: UnsafePointer<Float>, blocks count: Int, into blocks: UnsafeMutableRawPointer) -> Bool
}

/// A block that is written otherwise where it is known how much each element counts.
protocol WeightableBlock: QuantizableBlock {
  /// Encodes `elementCount` finite values.
  ///
  /// - Parameters:
  ///   - importance: of each element; not negative, finite.
  ///   - rowMeanSquare: of all elements of the row.
  /// - Returns: false when a scale is too large for half precision.
  static func quantize(
    _ values: UnsafePointer<Float>, importance: UnsafePointer<Float>, rowMeanSquare: Float,
    into block: UnsafeMutableRawPointer
  ) -> Bool
}

extension WeightableBlock {
  /// Encodes a row of whole blocks.
  ///
  /// - Throws: as without importance.
  static func quantize(
    row values: UnsafeBufferPointer<Float>, importance: UnsafePointer<Float>, into blocks: UnsafeMutableRawBufferPointer
  ) throws(StorageError) {
    guard FloatFormat.f32.isFinite(UnsafeRawBufferPointer(values)) else { return try quantize(values, into: blocks) }
    var squares: Float = 0
    for value in values { squares += value * value }
    for index in 0..<values.count / elementCount {
      let isSound = quantize(
        values.baseAddress! + index * elementCount, importance: importance + index * elementCount,
        rowMeanSquare: squares / Float(values.count), into: blocks.baseAddress! + index * byteCount)
      guard isSound else {
        throw StorageError(.nonFinite, "has values too large for the half-precision scale of a quantised type")
      }
    }
  }
}

extension QuantizedBlock {
  /// Decodes whole blocks to packed float32.
  ///
  /// - Precondition: the sizes belong together. `destination` may be unaligned.
  static func dequantize(_ blocks: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer) {
    let count = blocks.count / byteCount
    let width = elementCount * MemoryLayout<Float>.size
    precondition(blocks.count == count * byteCount && destination.count == count * width, "whole blocks")
    guard count > 0, var source = blocks.baseAddress, var target = destination.baseAddress else { return }
    if Int(bitPattern: target).isMultiple(of: MemoryLayout<Float>.alignment) {
      var values = target.bindMemory(to: Float.self, capacity: count * elementCount)
      for _ in 0..<count {
        dequantize(source, into: values)
        source += byteCount
        values += elementCount
      }
      return
    }
    withUnsafeTemporaryAllocation(of: Float.self, capacity: elementCount) { values in
      for _ in 0..<count {
        dequantize(source, into: values.baseAddress!)
        target.copyMemory(from: values.baseAddress!, byteCount: width)
        source += byteCount
        target += width
      }
    }
  }
}

extension QuantizableBlock {
  static func quantize(
    _ values: UnsafePointer<Float>, blocks count: Int, into blocks: UnsafeMutableRawPointer
  ) -> Bool {
    for index in 0..<count {
      guard quantize(values + index * elementCount, into: blocks + index * byteCount) else { return false }
    }
    return true
  }

  /// Encodes values to whole blocks.
  ///
  /// - Throws: `nonFinite` for infinities and NaN, which no block can hold, and for values beyond what a half-precision
  ///   scale reaches.
  static func quantize(
    _ values: UnsafeBufferPointer<Float>, into blocks: UnsafeMutableRawBufferPointer
  ) throws(StorageError) {
    let count = values.count / elementCount
    precondition(values.count == count * elementCount && blocks.count == count * byteCount, "whole blocks")
    guard let source = values.baseAddress, let target = blocks.baseAddress else { return }
    if FloatFormat.f32.isFinite(UnsafeRawBufferPointer(values)), quantize(source, blocks: count, into: target) {
      return
    }
    // What is wrong with the first block that something is wrong with.
    for index in 0..<count {
      let part = UnsafeBufferPointer(rebasing: values[index * elementCount..<(index + 1) * elementCount])
      guard part.allSatisfy({ $0.isFinite }) else {
        throw StorageError(.nonFinite, "has an infinity or NaN, which a quantised type cannot hold")
      }
      guard quantize(part.baseAddress!, into: blocks.baseAddress! + index * byteCount) else {
        throw StorageError(.nonFinite, "has values too large for the half-precision scale of a quantised type")
      }
    }
  }
}

extension UnsafeRawPointer {
  /// The half-precision number at `offset`.
  @inline(__always)
  func half(_ offset: Int) -> Float {
    Half.float(bits: UInt16(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self)))
  }

  @inline(__always)
  func byte(_ offset: Int) -> UInt8 { load(fromByteOffset: offset, as: UInt8.self) }

  @inline(__always)
  func signedByte(_ offset: Int) -> Int8 { load(fromByteOffset: offset, as: Int8.self) }
}
