import TMPackCKernels

/// The magnitude filter (TMP-5-11): numbers whose size is predictable and whose value is not, such as differences of weights.
///
/// Each lane becomes one symbol, the number's order of magnitude and its leading bits, and a remainder of as many bits as the
/// symbol says. Symbols, all that an entropy coder can gain from, come first; the remainders, which are noise, are packed behind them.
/// Byte planes cut such numbers at places that mean nothing, and leave planes of less than one bit a byte, which Huffman codes cannot reach.
package enum Magnitudes {
  package static let widths = [2, 4, 8]

  /// Bytes of what `encode` makes of lanes of that width.
  ///
  /// - Precondition: `lanes` is a whole number of lanes.
  package static func encodedSize(_ lanes: UnsafeRawBufferPointer, width: Int) -> Int {
    precondition(widths.contains(width) && lanes.count.isMultiple(of: width), "whole lanes")
    guard let source = lanes.baseAddress else { return 0 }
    return lanes.count / width + tmpack_magnitude_remainder_bytes(source, lanes.count / width, width)
  }

  /// - Precondition: `encoded` has `encodedSize` bytes and does not overlap `lanes`.
  package static func encode(
    _ lanes: UnsafeRawBufferPointer, width: Int, into encoded: UnsafeMutableRawBufferPointer
  ) {
    let count = lanes.count / width
    precondition(encoded.count >= count, "room for the symbols")
    guard let source = lanes.baseAddress, let target = encoded.baseAddress else { return }
    tmpack_encode_magnitudes(source, count, width, target, target + count, encoded.count - count)
  }

  /// The inverse of `encode`.
  ///
  /// - Returns: false when `encoded` is not what `encode` makes of any lanes; `lanes` is undefined then.
  package static func decode(
    _ encoded: UnsafeRawBufferPointer, width: Int, into lanes: UnsafeMutableRawBufferPointer
  ) -> Bool {
    precondition(widths.contains(width) && lanes.count.isMultiple(of: width), "whole lanes")
    let count = lanes.count / width
    guard encoded.count >= count else { return false }
    guard let source = encoded.baseAddress, let target = lanes.baseAddress else { return encoded.isEmpty }
    return tmpack_decode_magnitudes(source, source + count, encoded.count - count, count, width, target)
  }
}
