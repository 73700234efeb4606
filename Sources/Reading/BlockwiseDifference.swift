import TMPackTensorKit

/// The difference of two tensors of a float dtype, a cache-sized block at a time.
package enum BlockwiseDifference {
  private static let blockSize = 4096

  /// Calls `body` with `tensor` − `reference` for each block, and the index of its first element.
  ///
  /// Both are widened to `Scalar`, and the difference is rounded once; it is 0 where they are equal, infinities too (TMP-7-7).
  package static func forEach<Scalar: Accumulator>(
    _ tensor: UnsafeRawBufferPointer, minus reference: UnsafeRawBufferPointer, _ format: FloatFormat, as _: Scalar.Type,
    _ body: (Int, UnsafeBufferPointer<Scalar>) -> Void
  ) {
    let count = tensor.count / format.byteWidth
    withUnsafeTemporaryAllocation(of: Scalar.self, capacity: 2 * blockSize) { scratch in
      for start in stride(from: 0, to: count, by: blockSize) {
        let length = min(blockSize, count - start)
        let bytes = start * format.byteWidth..<(start + length) * format.byteWidth
        let difference = UnsafeMutableBufferPointer(rebasing: scratch[0..<length])
        let subtrahend = UnsafeMutableBufferPointer(rebasing: scratch[blockSize..<blockSize + length])
        format.widen(UnsafeRawBufferPointer(rebasing: tensor[bytes]), into: difference)
        format.widen(UnsafeRawBufferPointer(rebasing: reference[bytes]), into: subtrahend)
        for i in 0..<length { difference[i] = difference[i] == subtrahend[i] ? 0 : difference[i] - subtrahend[i] }
        body(start, UnsafeBufferPointer(difference))
      }
    }
  }
}
