import TMPackByteIO
import TMPackCKernels

/// SHA-256 of several messages side by side: one in each lane of the processor's vectors, and the next where one ends.
///
/// Memory: 33 KiB a lane, which the second-level cache holds.
struct DigestLanes: ~Copyable {
  /// Bytes of a message from `offset` on, which stay as they are until the next call with this `room`: as many as `room`
  /// takes or all that are left; or more of them, a multiple of 64, that are in memory already.
  typealias Reader = (
    _ message: Int, _ offset: Int, _ room: UnsafeMutableRawBufferPointer
  ) throws(StorageError) -> UnsafeRawBufferPointer

  private struct Lane {
    let message: Int
    /// Bytes of the message that were read.
    var offset = 0
    /// What of them is not digested yet.
    var rest = UnsafeRawBufferPointer(start: nil, count: 0)
    /// Whether `rest` is the message's end with the padding.
    var isPadded = false
  }

  static let laneCount = Int(TMPACK_SHA256_LANES)
  private static let blockBytes = 64
  private static let wordCount = 8
  private static let roomBytes = 32 << 10
  private static let paddingBytes = 2 * blockBytes
  /// Odd in blocks, so that the rooms of all lanes do not compete for the same places of the first-level cache.
  private static let strideBytes = roomBytes + paddingBytes + blockBytes
  /// With fewer messages than this the processor's own instructions, one message after another, are faster.
  private static let fewestLanes = 7

  private let lengths: [Int]
  private let states: UnsafeMutablePointer<UInt32>
  private let rooms: UnsafeMutableRawPointer
  private var lanes = [Lane?](repeating: nil, count: laneCount)
  private var digests: [ContentDigest?]

  /// The digests of messages of these lengths.
  static func digests(of lengths: [Int], reader: Reader) throws(StorageError) -> [ContentDigest] {
    var lanes = DigestLanes(lengths)
    try lanes.run(reader)
    return lanes.digests.map { $0! }
  }

  private init(_ lengths: [Int]) {
    self.lengths = lengths
    digests = Array(repeating: nil, count: lengths.count)
    states = .allocate(capacity: Self.wordCount * Self.laneCount)
    states.initialize(repeating: 0, count: Self.wordCount * Self.laneCount)
    rooms = .allocate(byteCount: Self.strideBytes * Self.laneCount, alignment: 64)
  }

  deinit {
    states.deallocate()
    rooms.deallocate()
  }

  private mutating func run(_ reader: Reader) throws(StorageError) {
    // The longest first, so that the lanes end together.
    var waiting = lengths.indices.sorted { (lengths[$0], $1) < (lengths[$1], $0) }
    while true {
      for index in lanes.indices {
        while lanes[index] == nil, let message = waiting.popLast() { try begin(message, in: index, reader) }
      }
      let active = lanes.indices.filter { lanes[$0] != nil }
      guard !active.isEmpty else { return }
      if active.count < Self.fewestLanes {
        for index in active { try finishAlone(index, reader) }
      }
      try step(reader)
    }
  }

  /// Takes as many blocks into all lanes as each has.
  private mutating func step(_ reader: Reader) throws(StorageError) {
    let active = lanes.indices.filter { lanes[$0] != nil }
    guard let first = active.first else { return }
    // What the other lanes digest is of no importance, but must be there.
    var blocks = [UnsafeRawPointer?](repeating: lanes[first]!.rest.baseAddress, count: Self.laneCount)
    var count = Int.max
    for index in active {
      blocks[index] = lanes[index]!.rest.baseAddress
      count = min(count, lanes[index]!.rest.count / Self.blockBytes)
    }
    tmpack_sha256_lanes(states, blocks, count)
    for index in active {
      lanes[index]!.rest = UnsafeRawBufferPointer(rebasing: lanes[index]!.rest[(count * Self.blockBytes)...])
      try advance(index, reader)
    }
  }

  private mutating func begin(_ message: Int, in index: Int, _ reader: Reader) throws(StorageError) {
    for (number, word) in RunningDigest.initialState.enumerated() { states[number * Self.laneCount + index] = word }
    lanes[index] = Lane(message: message)
    try advance(index, reader)
  }

  /// Sees to it that a lane has a block to digest, or is free.
  private mutating func advance(_ index: Int, _ reader: Reader) throws(StorageError) {
    while let lane = lanes[index], lane.rest.count < Self.blockBytes {
      if lane.isPadded {
        digests[lane.message] = ContentDigest(state: state(of: index))
        lanes[index] = nil
      } else if lane.offset < lengths[lane.message] {
        try read(index, reader)
      } else {
        pad(index)
      }
    }
  }

  private mutating func read(_ index: Int, _ reader: Reader) throws(StorageError) {
    let lane = lanes[index]!
    let room = UnsafeMutableRawBufferPointer(start: rooms + index * Self.strideBytes, count: Self.roomBytes)
    let rest = try reader(lane.message, lane.offset, room)
    lanes[index]!.rest = rest
    lanes[index]!.offset += rest.count
  }

  /// A bit, zeros, and the length in bits (FIPS 180-4, section 5.1.1).
  private mutating func pad(_ index: Int) {
    let lane = lanes[index]!
    let lengthBytes = 8
    let isOneBlock = lane.rest.count + 1 + lengthBytes <= Self.blockBytes
    let padded = UnsafeMutableRawBufferPointer(
      start: rooms + index * Self.strideBytes + Self.roomBytes, count: isOneBlock ? Self.blockBytes : Self.paddingBytes)
    padded.initializeMemory(as: UInt8.self, repeating: 0)
    padded.copyMemory(from: lane.rest)
    padded[lane.rest.count] = 0x80
    padded.storeBytes(
      of: UInt64(8 * lengths[lane.message]).bigEndian, toByteOffset: padded.count - lengthBytes, as: UInt64.self)
    lanes[index]!.rest = UnsafeRawBufferPointer(padded)
    lanes[index]!.isPadded = true
  }

  /// Digests what is left of a message by the system's library, where that can go on from a state.
  private mutating func finishAlone(_ index: Int, _ reader: Reader) throws(StorageError) {
    let lane = lanes[index]!
    guard !lane.isPadded, var digest = RunningDigest(state: state(of: index), after: lane.offset - lane.rest.count)
    else { return }
    digest.update(lane.rest)
    while lanes[index]!.offset < lengths[lane.message] {
      try read(index, reader)
      digest.update(lanes[index]!.rest)
    }
    digests[lane.message] = digest.finish()
    lanes[index] = nil
  }

  private func state(of index: Int) -> [UInt32] {
    (0..<Self.wordCount).map { states[$0 * Self.laneCount + index] }
  }
}

extension ContentDigest {
  fileprivate init(state: [UInt32]) {
    self.init(bytes: state.flatMap { word in withUnsafeBytes(of: word.bigEndian) { Array($0) } })
  }
}
