import TMPackByteIO

/// An adaptive probability of a binary decision, for the range coder (TMP-10-5).
package struct BinaryModel: Equatable {
  /// 65,536 times the probability of `false`.
  package var probability: UInt16 = 0x8000
  /// How many decisions it has learned from, as far as that matters.
  package var count: UInt16 = 0

  /// Learning slows down to 1 ÷ this.
  static let slowest: UInt16 = 250
  /// What `count` falls back to at the start of a component: what came before is a prior, not the truth.
  static let prior: UInt16 = 24

  /// ⌊655,360 ÷ (10 n + 16)⌋ for n = 0...250.
  static let rates: [Int32] = (0...Int32(slowest)).map { 655_360 / (10 * $0 + 16) }

  @inline(__always)
  mutating func learn(_ bit: Bool, _ rates: UnsafePointer<Int32>) {
    let p = Int32(probability)
    let moved = p &+ (((bit ? 0 : 65_536) &- p) &* rates[Int(count)]) >> 16
    probability = UInt16(truncatingIfNeeded: min(max(moved, 32), 65_504))
    count &+= count < Self.slowest ? 1 : 0
  }
}

/// The interval of a message so far, and the bytes that are settled (TMP-10-1, TMP-10-2).
package struct RangeEncoder {
  private var low: UInt64 = 0
  private var range = UInt64.max
  private var bytes: [UInt8] = []

  package init() {}

  @inline(__always)
  package mutating func encode(_ bit: Bool, _ model: inout BinaryModel, _ rates: UnsafePointer<Int32>) {
    split(at: (range >> 16) &* UInt64(model.probability), bit)
    model.learn(bit, rates)
  }

  /// A decision of even odds (TMP-10-4).
  @inline(__always)
  package mutating func encode(_ bit: Bool) { split(at: range >> 1, bit) }

  /// The low `count` bits, the highest first.
  package mutating func encode(bits: UInt32, count: Int) {
    for i in (0..<count).reversed() { encode(bits >> UInt32(i) & 1 == 1) }
  }

  @inline(__always)
  private mutating func split(at bound: UInt64, _ bit: Bool) {
    if bit {
      let (sum, carry) = low.addingReportingOverflow(bound)
      low = sum
      range &-= bound
      if carry { self.carry() }
    } else {
      range = bound
    }
    if range < 1 << 32 {
      bytes.append(UInt8(truncatingIfNeeded: low >> 56))
      bytes.append(UInt8(truncatingIfNeeded: low >> 48))
      bytes.append(UInt8(truncatingIfNeeded: low >> 40))
      bytes.append(UInt8(truncatingIfNeeded: low >> 32))
      low <<= 32
      range <<= 32
    }
  }

  private mutating func carry() {
    var i = bytes.count - 1
    while bytes[i] == 0xFF {
      bytes[i] = 0
      i -= 1
    }
    bytes[i] += 1
  }

  /// The fewest bytes that name a number of the interval; of those the smallest number.
  package consuming func finish() -> [UInt8] {
    if low > 0 {
      if range > 0 &- low {
        // The window's end, which needs none of its bytes, lies inside.
        carry()
      } else {
        for kept in 1...8 {
          // The first multiple of `unit` in the window. It is there, since the window's end is outside.
          let unit: UInt64 = 1 << UInt64(64 - 8 * kept)
          let rounded = (low &+ (unit &- 1)) & (0 &- unit)
          guard rounded &- low < range else { continue }
          for i in 0..<kept { bytes.append(UInt8(truncatingIfNeeded: rounded >> UInt64(56 - 8 * i))) }
          break
        }
      }
    }
    // Zeros at the end go without saying.
    while bytes.last == 0 { bytes.removeLast() }
    return bytes
  }
}

/// Reads what `RangeEncoder` wrote. Any bytes give decisions; `finish` tells whether they are an encoder's.
package struct RangeDecoder {
  private let bytes: UnsafeBufferPointer<UInt8>
  /// Bytes taken, those after the last, which are zero, among them.
  private var position = 0
  private var range = UInt64.max
  /// How far the message's number is above the interval's start.
  private var offset: UInt64 = 0

  /// - Precondition: `bytes` outlive the decoder.
  package init(_ bytes: UnsafeBufferPointer<UInt8>) {
    self.bytes = bytes
    offset = UInt64(next()) << 32 | UInt64(next())
  }

  private mutating func next() -> UInt32 {
    var word: UInt32 = 0
    if position &+ 4 <= bytes.count {
      word = UInt32(
        bigEndian: UnsafeRawPointer(bytes.baseAddress!).loadUnaligned(fromByteOffset: position, as: UInt32.self))
    } else {
      for i in position..<position + 4 { word = word << 8 | UInt32(i < bytes.count ? bytes[i] : 0) }
    }
    position &+= 4
    return word
  }

  @inline(__always)
  package mutating func decode(_ model: inout BinaryModel, _ rates: UnsafePointer<Int32>) -> Bool {
    let bit = split(at: (range >> 16) &* UInt64(model.probability))
    model.learn(bit, rates)
    return bit
  }

  @inline(__always)
  package mutating func decode() -> Bool { split(at: range >> 1) }

  package mutating func decode(bits count: Int) -> UInt32 {
    var bits: UInt32 = 0
    for _ in 0..<count { bits = bits << 1 | (decode() ? 1 : 0) }
    return bits
  }

  @inline(__always)
  private mutating func split(at bound: UInt64) -> Bool {
    let bit = offset >= bound
    offset &-= bit ? bound : 0
    range = bit ? range &- bound : bound
    if range < 1 << 32 {
      range <<= 32
      offset = offset << 32 | UInt64(next())
    }
    return bit
  }

  /// Throws `malformed` unless an encoder that took the decisions read so far would have written exactly these bytes (TMP-10-3).
  package func finish() throws(StorageError) {
    guard offset < range, isShortest else {
      throw StorageError(.malformed, "the coded symbols are not as an encoder ends them")
    }
  }

  private var isShortest: Bool {
    guard let last = bytes.last else { return true }
    guard last != 0, bytes.count <= position else { return false }
    let places = position - bytes.count
    guard places < 8 else { return true }
    // What the last byte counts in. There must be no smaller number of as many bytes in the interval, and none of fewer: the
    // one below has been ruled out with that, the one above is to lie beyond.
    let unit: UInt64 = 1 << UInt64(8 * places)
    let (above, overflow) = unit.multipliedReportingOverflow(by: 256 - UInt64(last))
    return offset < unit && (overflow || above >= range - offset)
  }
}
