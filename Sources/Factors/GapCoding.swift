import TMPackByteIO

/// Ascending positions as LEB128 numbers: the first position, then each one's distance to the one before, minus 1.
///
/// Seven bits a byte, low ones first, the top bit set in all bytes but a number's last. Numbers have the minimal
/// length, so that there is one encoding.
enum GapCoding {
  /// - Precondition: `positions` ascend strictly and are not negative.
  package static func encode(_ positions: [Int]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(positions.count + positions.count / 4)
    var next = 0
    for position in positions {
      var gap = UInt64(position - next)
      while gap >= 0x80 {
        bytes.append(UInt8(truncatingIfNeeded: gap) | 0x80)
        gap >>= 7
      }
      bytes.append(UInt8(gap))
      next = position + 1
    }
    return bytes
  }

  /// Throws `malformed` unless `bytes` are exactly `count` gaps that lead to positions below `bound`.
  static func validate(_ bytes: [UInt8], count: Int, below bound: Int) throws(StorageError) {
    var cursor = 0
    var next: UInt64 = 0
    for _ in 0..<count {
      var gap: UInt64 = 0
      var shift: UInt64 = 0
      while true {
        guard cursor < bytes.count else { throw StorageError(.malformed, "the positions end too early") }
        let byte = bytes[cursor]
        cursor += 1
        // The tenth byte has room for one bit.
        guard shift < 63 || byte <= 1 else { throw StorageError(.malformed, "a gap overflows 64 bits") }
        gap |= UInt64(byte & 0x7F) << shift
        if byte < 0x80 {
          guard byte != 0 || shift == 0 else { throw StorageError(.malformed, "a gap is longer than it need be") }
          break
        }
        shift += 7
      }
      let (position, overflow) = next.addingReportingOverflow(gap)
      guard !overflow, position < UInt64(bound) else {
        throw StorageError(.malformed, "a position is outside of the tensor of \(bound) elements")
      }
      next = position + 1
    }
    guard cursor == bytes.count else { throw StorageError(.malformed, "bytes follow the last position") }
  }

  /// Reads validated positions, some at a time.
  struct Reader {
    private var cursor = 0
    private var next = 0

    /// Fills `positions` with the ones that follow.
    mutating func read(_ bytes: UnsafeBufferPointer<UInt8>, into positions: UnsafeMutableBufferPointer<Int>) {
      for i in 0..<positions.count {
        var byte = bytes[cursor]
        var gap = Int(byte & 0x7F)
        var shift = 7
        cursor += 1
        while byte >= 0x80 {
          byte = bytes[cursor]
          gap |= Int(byte & 0x7F) << shift
          shift += 7
          cursor += 1
        }
        positions[i] = next + gap
        next = positions[i] + 1
      }
    }
  }
}
