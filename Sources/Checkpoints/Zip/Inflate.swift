import TMPackByteIO

/// Decompresses one deflate stream (RFC 1951) into memory whose size the caller has checked.
///
/// It writes nowhere but into `output`, and takes time in proportion to the bytes that it reads and writes.
struct Inflate {
  private var input: BitReader
  private let output: UnsafeMutableRawBufferPointer
  private var count = 0

  /// Fills `output` with the first bytes of the stream.
  ///
  /// - Parameter whole: whether the stream must end with the last byte of `output` and of `bytes`.
  /// - Throws: `malformed` or `truncated`.
  static func run(
    _ bytes: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer, whole: Bool
  ) throws(StorageError) {
    var inflate = Inflate(input: BitReader(bytes), output: output)
    let ended = try inflate.decode(whole: whole)
    guard inflate.count == output.count else {
      throw StorageError(
        .malformed, "the compressed data gives \(inflate.count) bytes where \(output.count) were declared")
    }
    if whole {
      guard ended, inflate.input.isAtEnd else {
        throw StorageError(.malformed, "bytes follow the compressed data")
      }
    }
  }

  /// Returns whether the last block ended.
  private mutating func decode(whole: Bool) throws(StorageError) -> Bool {
    var isLast = false
    while !isLast {
      if !whole, count == output.count { return false }
      isLast = try input.bits(1) == 1
      let stopped: Bool
      switch try input.bits(2) {
      case 0: stopped = try copyStored(whole: whole)
      case 1: stopped = try decodeBlock(Self.fixedLiterals, Self.fixedDistances, whole: whole)
      case 2:
        let (literals, distances) = try readCodes()
        stopped = try decodeBlock(literals, distances, whole: whole)
      default: throw StorageError(.malformed, "the compressed data has a block of a reserved kind")
      }
      if stopped { return false }
    }
    return true
  }

  private mutating func copyStored(whole: Bool) throws(StorageError) -> Bool {
    input.alignToByte()
    let length = try input.bits(16)
    guard try input.bits(16) == ~length & 0xFFFF else {
      throw StorageError(.malformed, "the length of a stored block and its complement disagree")
    }
    let room = output.count - count
    guard Int(length) <= room || !whole else { throw tooLong }
    for _ in 0..<min(Int(length), room) {
      output[count] = UInt8(try input.bits(8))
      count += 1
    }
    return Int(length) > room
  }

  // MARK: Huffman blocks (RFC 1951, 3.2.5 to 3.2.7)

  /// Returns whether it stopped because `output` is full, before the block's end.
  private mutating func decodeBlock(
    _ literals: HuffmanCode, _ distances: HuffmanCode, whole: Bool
  ) throws(StorageError) -> Bool {
    while true {
      let symbol = Int(try literals.next(&input))
      if symbol == 256 { return false }
      if count == output.count {
        if whole { throw tooLong }
        return true
      }
      if symbol < 256 {
        output[count] = UInt8(symbol)
        count += 1
        continue
      }
      let kind = symbol - 257
      guard kind < Self.lengthBases.count else { throw StorageError(.malformed, "a length's code is reserved") }
      var length = Self.lengthBases[kind] + Int(try input.bits(Self.lengthBits[kind]))
      let place = Int(try distances.next(&input))
      guard place < Self.distanceBases.count else { throw StorageError(.malformed, "a distance's code is reserved") }
      let distance = Self.distanceBases[place] + Int(try input.bits(Self.distanceBits[place]))
      guard distance <= count else { throw StorageError(.malformed, "a distance leads before the first byte") }
      let room = output.count - count
      if length > room {
        if whole { throw tooLong }
        length = room
      }
      // Source and target may overlap: that is how runs are written.
      for index in count..<count + length { output[index] = output[index - distance] }
      count += length
    }
  }

  private mutating func readCodes() throws(StorageError) -> (literals: HuffmanCode, distances: HuffmanCode) {
    let literalCount = Int(try input.bits(5)) + 257
    let distanceCount = Int(try input.bits(5)) + 1
    let lengthCount = Int(try input.bits(4)) + 4
    guard literalCount <= 286, distanceCount <= 30 else {
      throw StorageError(.malformed, "a block has more codes than there are symbols")
    }
    var meta = [UInt8](repeating: 0, count: 19)
    for place in Self.codeOrder.prefix(lengthCount) { meta[place] = UInt8(try input.bits(3)) }
    let metaCode = try HuffmanCode(lengths: meta[...])
    var lengths: [UInt8] = []
    while lengths.count < literalCount + distanceCount {
      let symbol = try metaCode.next(&input)
      let (value, times): (UInt8, Int)
      switch symbol {
      case 0..<16: (value, times) = (UInt8(symbol), 1)
      case 16:
        guard let last = lengths.last else { throw StorageError(.malformed, "the first length repeats none") }
        (value, times) = (last, 3 + Int(try input.bits(2)))
      case 17: (value, times) = (0, 3 + Int(try input.bits(3)))
      default: (value, times) = (0, 11 + Int(try input.bits(7)))
      }
      lengths.append(contentsOf: repeatElement(value, count: times))
    }
    guard lengths.count == literalCount + distanceCount, lengths[256] != 0 else {
      throw StorageError(.malformed, "the lengths of a block's codes do not add up")
    }
    return (
      try HuffmanCode(lengths: lengths[..<literalCount]), try HuffmanCode(lengths: lengths[literalCount...])
    )
  }

  private var tooLong: StorageError {
    StorageError(.malformed, "the compressed data gives more than the \(output.count) bytes that were declared")
  }

  private static let codeOrder = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
  private static let lengthBases = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
  ]
  private static let lengthBits = [
    0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
  ]
  private static let distanceBases = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145,
    8193, 12289, 16385, 24577,
  ]
  private static let distanceBits = [
    0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
  ]
  private static let fixedLiterals = fixed(
    ([UInt8](repeating: 8, count: 144) + [UInt8](repeating: 9, count: 112)
      + [UInt8](repeating: 7, count: 24) + [UInt8](repeating: 8, count: 8))[...])
  private static let fixedDistances = fixed([UInt8](repeating: 5, count: 30)[...])

  /// A code of the format's own, which is sound.
  private static func fixed(_ lengths: ArraySlice<UInt8>) -> HuffmanCode {
    do { return try HuffmanCode(lengths: lengths) } catch { preconditionFailure("the fixed codes are complete") }
  }
}

/// A canonical Huffman code as one table: the next fifteen bits at most give the symbol and its length.
struct HuffmanCode: Sendable {
  private static let longest = 15
  /// Symbol << 4 | length, at the reversed code filled up with every combination; 0 where no code is.
  private let table: [UInt16]
  private let width: Int

  /// - Throws: `malformed` when the lengths claim more codes than there are. Fewer are allowed, as in a block with
  ///   one distance: a code that is not there is refused when it occurs.
  init(lengths: ArraySlice<UInt8>) throws(StorageError) {
    var counts = [Int](repeating: 0, count: Self.longest + 1)
    for length in lengths where length > 0 { counts[Int(length)] += 1 }
    var next = [Int](repeating: 0, count: Self.longest + 2)
    for length in 1...Self.longest {
      next[length + 1] = (next[length] + counts[length]) << 1
      guard next[length] + counts[length] <= 1 << length else {
        throw StorageError(.malformed, "a block's code has too many short words")
      }
    }
    width = Int(lengths.max() ?? 0)
    var table = [UInt16](repeating: 0, count: 1 << width)
    for (symbol, length) in lengths.enumerated() where length > 0 {
      let length = Int(length)
      var code = next[length]
      next[length] += 1
      var reversed = 0
      for _ in 0..<length {
        reversed = reversed << 1 | code & 1
        code >>= 1
      }
      for index in stride(from: reversed, to: table.count, by: 1 << length) {
        table[index] = UInt16(symbol << 4 | length)
      }
    }
    self.table = table
  }

  @inline(__always)
  func next(_ input: inout BitReader) throws(StorageError) -> UInt16 {
    let entry = table.withUnsafeBufferPointer { $0[Int(input.peek(width))] }
    guard entry != 0 else { throw StorageError(.malformed, "the compressed data has a code that means nothing") }
    try input.skip(Int(entry & 15))
    return entry >> 4
  }
}

/// Bits of bytes, the lowest first.
struct BitReader {
  private let bytes: UnsafeRawBufferPointer
  private var position = 0
  private var word: UInt64 = 0
  private var available = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  /// Whether no whole byte is left.
  var isAtEnd: Bool { position == bytes.count && available < 8 }

  /// The next `count` bits, at most 16, with zeros where the input has ended.
  @inline(__always)
  mutating func peek(_ count: Int) -> UInt64 {
    while available < count, position < bytes.count {
      word |= UInt64(bytes[position]) << UInt64(available)
      position += 1
      available += 8
    }
    return word & ((1 << UInt64(count)) - 1)
  }

  @inline(__always)
  mutating func skip(_ count: Int) throws(StorageError) {
    guard count <= available else { throw StorageError(.truncated, "the compressed data ends too early") }
    word >>= UInt64(count)
    available -= count
  }

  @inline(__always)
  mutating func bits(_ count: Int) throws(StorageError) -> UInt64 {
    let value = peek(count)
    try skip(count)
    return value
  }

  mutating func alignToByte() {
    word >>= UInt64(available % 8)
    available -= available % 8
  }
}
