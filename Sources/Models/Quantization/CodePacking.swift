/// Where in a tensor's bytes the codes of one row of numbers are.
///
/// Rows are those of the numbers, [outputs, inputs]. Words are little-endian, so that a stream of words that begins at the
/// lowest bit is the stream of their bytes.
enum CodePacking: Sendable, Hashable {
  /// Each row is one stream of bits, lowest first, in bytes of its own.
  case rows(bits: Int, bytesPerRow: Int)
  /// One stream for the tensor, four bits each, the higher of a byte first.
  case highNibbles
  /// [⌈inputs · bits ÷ 32⌉, outputs] words: each column is a stream of bits.
  case columns(bits: Int, outputs: Int)
  /// The same, but 32 codes are split by bits into planes, the lowest bits first.
  case planes(bits: Int, outputs: Int)
  /// [inputs, ⌈outputs · bits ÷ 32⌉] words: each input has one stream for all outputs; of four bits, a word has its outputs
  /// in the order 0, 2, 4, 6, 1, 3, 5, 7 if they are interleaved.
  case inputs(bits: Int, words: Int, isInterleaved: Bool)

  /// The code of each column of a row.
  func read(row: Int, of bytes: UnsafeRawBufferPointer, into codes: UnsafeMutableBufferPointer<UInt8>) {
    switch self {
    case .rows(let bits, let bytesPerRow):
      Self.stream(bits, UnsafeRawBufferPointer(rebasing: bytes[row * bytesPerRow..<(row + 1) * bytesPerRow]), codes)
    case .highNibbles:
      let start = row * codes.count
      for column in codes.indices {
        let byte = bytes[(start + column) >> 1]
        codes[column] = (start + column) & 1 == 0 ? byte >> 4 : byte & 15
      }
    case .columns(let bits, let outputs):
      for column in codes.indices {
        codes[column] = Self.code(at: column * bits, bits) { Self.word(bytes, $0 * outputs + row) }
      }
    case .planes(let bits, let outputs):
      for column in codes.indices {
        codes[column] = Self.planar(column, bits) { Self.word(bytes, $0 * outputs + row) }
      }
    case .inputs(let bits, let words, let isInterleaved):
      // Output 0, 1, 2, … of eight is in this nibble.
      let place = isInterleaved ? row & ~7 | [0, 4, 1, 5, 2, 6, 3, 7][row & 7] : row
      for column in codes.indices {
        codes[column] = Self.code(at: place * bits, bits) { Self.word(bytes, column * words + $0) }
      }
    }
  }

  private static func word(_ bytes: UnsafeRawBufferPointer, _ index: Int) -> UInt32 {
    UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self))
  }

  private static func stream(
    _ bits: Int, _ bytes: UnsafeRawBufferPointer, _ codes: UnsafeMutableBufferPointer<UInt8>
  ) {
    if bits == 8 {
      return UnsafeMutableRawBufferPointer(codes).copyMemory(
        from: UnsafeRawBufferPointer(rebasing: bytes[..<codes.count]))
    }
    let mask = UInt16(1) << UInt16(bits) - 1
    for column in codes.indices {
      let place = column * bits
      var value = UInt16(bytes[place >> 3])
      if place & 7 + bits > 8 { value |= UInt16(bytes[place >> 3 + 1]) << 8 }
      codes[column] = UInt8(truncatingIfNeeded: value >> UInt16(place & 7) & mask)
    }
  }

  /// A code that begins at a bit of a stream of words.
  static func code(at place: Int, _ bits: Int, _ word: (Int) -> UInt32) -> UInt8 {
    let (index, shift) = (place >> 5, place & 31)
    var value = UInt64(word(index))
    if shift + bits > 32 { value |= UInt64(word(index + 1)) << 32 }
    return UInt8(truncatingIfNeeded: value >> UInt64(shift) & (1 << UInt64(bits) - 1))
  }

  /// A code of 32 that lie in planes of 4, 2 and 1 bits, the largest first.
  static func planar(_ index: Int, _ bits: Int, _ word: (Int) -> UInt32) -> UInt8 {
    var (value, taken) = (UInt8(0), 0)
    for width in [8, 4, 2, 1] where bits & width != 0 {
      let plane = index >> 5 * bits + taken
      let place = index & 31 * width
      let part = word(plane + place >> 5) >> UInt32(place & 31) & (1 << UInt32(width) - 1)
      value |= UInt8(truncatingIfNeeded: part) << UInt8(taken)
      taken += width
    }
    return value
  }

  /// Where the codes of a row lie together, and those of rows one after another: bytes of one.
  var bytesPerRow: Int? { if case .rows(_, let bytes) = self { bytes } else { nil } }

  /// Bytes that all codes take.
  func byteCount(rows: Int, columns: Int) -> Int {
    switch self {
    case .rows(_, let bytesPerRow): rows * bytesPerRow
    case .highNibbles: (rows * columns + 1) / 2
    case .columns(let bits, let outputs): (columns * bits + 31) / 32 * outputs * 4
    case .planes(let bits, let outputs): (columns + 31) / 32 * bits * outputs * 4
    case .inputs(_, let words, _): columns * words * 4
    }
  }
}
