import TMPackTensorKit

// 256 elements in groups of eight or four, each of which is a point of a grid, its elements with signs of their own. ggml-common.h:
// block_iq2_xxs, block_iq2_xs, block_iq2_s, block_iq3_xxs, block_iq3_s.

/// Eight signs: seven bits are given, and the eighth makes their number even.
@inline(__always)
private func evenSigns(_ seven: UInt32) -> UInt8 {
  let bits = UInt8(truncatingIfNeeded: seven & 127)
  return bits | UInt8(bits.nonzeroBitCount & 1) << 7
}

/// scale · point, negative where a sign is set.
@inline(__always)
private func put(
  _ point: UnsafePointer<Float>, count: Int, _ scale: Float, signs: UInt8, into values: UnsafeMutablePointer<Float>
) {
  for j in 0..<count {
    let value = scale * point[j]
    values[j] = signs >> UInt8(j) & 1 == 0 ? value : -value
  }
}

extension UnsafeRawPointer {
  @inline(__always)
  fileprivate func word(_ offset: Int) -> UInt32 {
    UInt32(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }

  @inline(__always)
  fileprivate func pair(_ offset: Int) -> UInt16 {
    UInt16(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }
}

/// d (2), then for each of 8 groups of 32 four points (4), and signs and a scale of four bits (4): d · (scale + ½) ÷ 4 · point.
enum IQ2_XXSBlock: QuantizedBlock {
  static let elementCount = 256
  static let byteCount = 66

  static func dequantize(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let d = block.half(0)
    BlockGrid.iq2XXS.withPoints { points in
      for group in 0..<8 {
        let own = block + 2 + 8 * group
        let rest = own.word(4)
        let scale = d * (0.5 + Float(rest >> 28)) * 0.25
        for part in 0..<4 {
          put(
            points + 8 * Int(own.byte(part)), count: 8, scale, signs: evenSigns(rest >> UInt32(7 * part)),
            into: values + 32 * group + 8 * part)
        }
      }
    }
  }
}

/// d (2), 32 points of nine bits with seven of signs (64), scales of four bits for 16 elements (8): d · (scale + ½) ÷ 4 · point.
enum IQ2_XSBlock: QuantizedBlock {
  static let elementCount = 256
  static let byteCount = 74

  static func dequantize(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let d = block.half(0)
    BlockGrid.iq2XS.withPoints { points in
      for part in 0..<32 {
        let own = block.pair(2 + 2 * part)
        let scale = block.byte(66 + part / 4) >> UInt8(part / 2 % 2 * 4) & 15
        put(
          points + 8 * Int(own & 511), count: 8, d * (0.5 + Float(scale)) * 0.25, signs: evenSigns(UInt32(own >> 9)),
          into: values + 8 * part)
      }
    }
  }
}

/// d (2), the low eight bits of 32 points (32), signs (32), the high two bits (8), scales of four bits for 16 elements (8):
/// d · (scale + ½) ÷ 4 · point.
enum IQ2_SBlock: QuantizedBlock {
  static let elementCount = 256
  static let byteCount = 82

  static func dequantize(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let d = block.half(0)
    BlockGrid.iq2S.withPoints { points in
      for part in 0..<32 {
        let high = Int(block.byte(66 + part / 4) >> UInt8(part % 4 * 2) & 3)
        let scale = block.byte(74 + part / 4) >> UInt8(part / 2 % 2 * 4) & 15
        put(
          points + 8 * (Int(block.byte(2 + part)) | high << 8), count: 8, d * (0.5 + Float(scale)) * 0.25,
          signs: block.byte(34 + part), into: values + 8 * part)
      }
    }
  }
}

/// d (2), 64 points of four elements (64), signs and a scale of four bits for each of 8 groups of 32 (32):
/// d · (scale + ½) ÷ 2 · point.
enum IQ3_XXSBlock: QuantizedBlock {
  static let elementCount = 256
  static let byteCount = 98

  static func dequantize(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let d = block.half(0)
    BlockGrid.iq3XXS.withPoints { points in
      for part in 0..<64 {
        let rest = block.word(66 + part / 8 * 4)
        let signs = evenSigns(rest >> UInt32(part / 2 % 4 * 7)) >> UInt8(part % 2 * 4)
        put(
          points + 4 * Int(block.byte(2 + part)), count: 4, d * (0.5 + Float(rest >> 28)) * 0.5, signs: signs,
          into: values + 4 * part)
      }
    }
  }
}

/// d (2), the low eight bits of 64 points of four elements (64), the high bits (8), signs (32), scales of four bits for 32
/// elements (4): d · (1 + 2 · scale) · point.
enum IQ3_SBlock: QuantizedBlock {
  static let elementCount = 256
  static let byteCount = 110

  static func dequantize(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let d = block.half(0)
    BlockGrid.iq3S.withPoints { points in
      for part in 0..<64 {
        let high = Int(block.byte(66 + part / 8) >> UInt8(part % 8) & 1)
        let scale = block.byte(106 + part / 16) >> UInt8(part / 8 % 2 * 4) & 15
        put(
          points + 4 * (Int(block.byte(2 + part)) | high << 8), count: 4, d * Float(1 + 2 * scale),
          signs: block.byte(74 + part / 2) >> UInt8(part % 2 * 4), into: values + 4 * part)
      }
    }
  }
}

/// d (2), the low eight bits of 32 points (32), for each of 8 groups of 32 the high three bits of its four points, a scale of three
/// bits and the sign of what is added (16): d · (2 · scale + 1) · (point ± ⅛).
enum IQ1_SBlock: QuantizedBlock {
  static let elementCount = 256
  static let byteCount = 50

  static func dequantize(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let d = block.half(0)
    BlockGrid.iq1.withPoints { points in
      for part in 0..<32 {
        let own = block.pair(34 + part / 4 * 2)
        let high = Int(own >> UInt16(part % 4 * 3) & 7)
        let scale = d * Float(2 * (own >> 12 & 7) + 1)
        let added: Float = own & 0x8000 == 0 ? 0.125 : -0.125
        let point = points + 8 * (Int(block.byte(2 + part)) | high << 8)
        for j in 0..<8 { values[8 * part + j] = scale * (point[j] + added) }
      }
    }
  }
}

/// The low eight bits of 32 points (32), for each their high three bits and the sign of what is added (16), four words (8) of four
/// scales of three bits for 16 elements, and four bits of d: d · (2 · scale + 1) · (point ± ⅛).
enum IQ1_MBlock: QuantizedBlock {
  static let elementCount = 256
  static let byteCount = 56

  static func dequantize(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    var bits: UInt16 = 0
    for word in 0..<4 { bits |= (block.pair(48 + 2 * word) >> 12) << UInt16(4 * word) }
    let d = Half.float(bits: bits)
    BlockGrid.iq1.withPoints { points in
      for part in 0..<32 {
        let own = block.byte(32 + part / 2) >> UInt8(part % 2 * 4) & 15
        let scale = block.pair(48 + part / 8 * 2) >> UInt16(part / 2 % 4 * 3) & 7
        let factor = d * Float(2 * scale + 1)
        let added: Float = own & 8 == 0 ? 0.125 : -0.125
        let point = points + 8 * (Int(block.byte(part)) | Int(own & 7) << 8)
        for j in 0..<8 { values[8 * part + j] = factor * (point[j] + added) }
      }
    }
  }
}
