import TMPackArchiveFormat
import TMPackFactors
import TMPackReading
import TMPackTensorKit
import TMPackZstandard
import Timing

/// A way to store a frame's bytes, which may lean on those of another that the decoder has.
protocol FrameCodec {
  func encode(_ raw: UnsafeRawBufferPointer, against base: UnsafeRawBufferPointer) throws -> Encoded
  associatedtype Encoded
  func storedSize(_ encoded: Encoded) -> Int
  func decode(_ encoded: Encoded, against base: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer) throws
}

extension FrameCodec {
  /// Encodes and decodes all of a sample, and checks that it comes back.
  func cost(of sample: Sample, alone: Bool, rounds: Int) throws -> Cost {
    var cost = Cost()
    for piece in sample.pieces {
      // Without a fine-tune it is the base that is stored.
      let raw = alone ? piece.base : piece.expert
      var back = [UInt8](repeating: 0, count: raw.count)
      try raw.withUnsafeBytes { raw in
        try piece.base.withUnsafeBytes { base in
          var encoded: Encoded?
          cost.encoding += try Clock.process.seconds(rounds: rounds) { encoded = try encode(raw, against: base) }
          cost.stored += min(storedSize(encoded!), raw.count)
          cost.decoding += try back.withUnsafeMutableBytes { back in
            try Clock.process.seconds(rounds: 3) { try decode(encoded!, against: base, into: back) }
          }
        }
      }
      precondition(back == raw, "a codec gives back what it was given")
    }
    return cost
  }
}

/// What comes before the filter.
enum Preparation {
  case none, xor
  /// The archive's own (TMP-6-14).
  case difference(DType)

  func apply(
    _ raw: UnsafeRawBufferPointer, _ base: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) {
    switch self {
    case .none: target.copyMemory(from: raw)
    case .xor: combine(raw, base, into: target)
    case .difference(let dtype): ExactDifference.encode(raw, against: base, dtype: dtype, into: target)
    }
  }

  func undo(
    _ prepared: UnsafeRawBufferPointer, _ base: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) {
    switch self {
    case .none: target.copyMemory(from: prepared)
    case .xor: combine(prepared, base, into: target)
    case .difference(let dtype): ExactDifference.decode(prepared, against: base, dtype: dtype, into: target)
    }
  }

  private func combine(
    _ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) {
    let (a, b, target) = (
      a.bindMemory(to: UInt64.self), b.bindMemory(to: UInt64.self), target.bindMemory(to: UInt64.self)
    )
    for i in 0..<target.count { target[i] = a[i] ^ b[i] }
  }
}

/// A filter and zstd, chosen here and not by the archive's writer; one set of blocks.
struct Composed: FrameCodec {
  enum Filter: Equatable {
    case none, planes, exponentPlanes, magnitudes
  }
  let preparation: Preparation
  let filter: Filter
  let search: Zstandard.Search
  let width: Int

  func encode(_ raw: UnsafeRawBufferPointer, against base: UnsafeRawBufferPointer) throws -> [UInt8] {
    if case .none = preparation { return filtered(raw) { Zstandard.compress($0, search) } }
    return withScratch(raw.count) { prepared in
      preparation.apply(raw, base, into: prepared)
      return filtered(UnsafeRawBufferPointer(prepared)) { Zstandard.compress($0, search) }
    }
  }

  func storedSize(_ encoded: [UInt8]) -> Int { encoded.count }

  func decode(
    _ encoded: [UInt8], against base: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer
  ) throws {
    try encoded.withUnsafeBytes { stored in
      if case .none = preparation { return try unfilter(stored, into: raw) }
      try withScratch(raw.count) { prepared in
        try unfilter(stored, into: prepared)
        preparation.undo(UnsafeRawBufferPointer(prepared), base, into: raw)
      }
    }
  }

  private func filtered(_ raw: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> [UInt8]) -> [UInt8] {
    switch filter {
    case .none: return body(raw)
    case .planes, .exponentPlanes:
      return withScratch(raw.count) { planes in
        BytePlanes.split(raw, width: width, rotated: filter == .exponentPlanes, into: planes)
        return body(UnsafeRawBufferPointer(planes))
      }
    case .magnitudes:
      return withScratch(Magnitudes.encodedSize(raw, width: width)) { encoded in
        Magnitudes.encode(raw, width: width, into: encoded)
        return body(UnsafeRawBufferPointer(encoded))
      }
    }
  }

  private func unfilter(_ stored: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer) throws {
    if filter == .none { return try Zstandard.decompress(stored, into: raw) }
    try withScratch(Int(try Zstandard.contentSize(of: stored))) { filtered in
      try Zstandard.decompress(stored, into: filtered)
      let filtered = UnsafeRawBufferPointer(filtered)
      if filter == .magnitudes {
        precondition(Magnitudes.decode(filtered, width: width, into: raw))
      } else {
        BytePlanes.merge(filtered, width: width, rotated: filter == .exponentPlanes, into: raw)
      }
    }
  }
}

private func withScratch<Result>(_ size: Int, _ body: (UnsafeMutableRawBufferPointer) throws -> Result) rethrows
  -> Result
{
  let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 64)
  defer { scratch.deallocate() }
  return try body(scratch)
}

/// As `pack` stores it: the best of its filters and searches, blocks cut where the statistics change, and the digest.
struct Packed: FrameCodec {
  /// Of a tensor by itself, or of a difference.
  let isDifference: Bool
  let dtype: DType

  func encode(_ raw: UnsafeRawBufferPointer, against base: UnsafeRawBufferPointer) throws -> EncodedPayload {
    guard isDifference else { return EncodedPayload(tensor: raw, dtype: dtype, level: PayloadCoding.defaultLevel) }
    let (own, reference) = (
      TensorBytes(viewing: raw, keeping: Owner.none), TensorBytes(viewing: base, keeping: Owner.none)
    )
    return try EncodedPayload(
      differenceOf: OpenTensor(own), against: OpenTensor(reference), dtype: dtype, level: PayloadCoding.defaultLevel)
  }

  func storedSize(_ encoded: EncodedPayload) -> Int { encoded.storedSize }

  func decode(
    _ encoded: EncodedPayload, against base: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer
  ) throws {
    guard isDifference else { return try encoded.decode(into: raw) }
    try withScratch(raw.count) { difference in
      try encoded.decode(into: difference)
      ExactDifference.decode(UnsafeRawBufferPointer(difference), against: base, dtype: dtype, into: raw)
    }
  }
}

/// For views whose memory outlives them anyway.
private final class Owner: Sendable {
  static let none = Owner()
}

extension Sample {
  /// By name, in the order of the table.
  func ways(alone: Bool) -> [(name: String, rounds: Int, codec: any FrameCodec)] {
    let width = dtype.planeWidth
    func way(_ name: String, _ before: Preparation, _ filter: Composed.Filter, _ search: Zstandard.Search)
      -> (name: String, rounds: Int, codec: any FrameCodec)
    {
      (name, search == .level(19) ? 1 : 3, Composed(preparation: before, filter: filter, search: search, width: width))
    }
    let plain = [1, 3, 19].map { way("zstd-\($0)", alone ? .none : .xor, .none, .level($0)) }
    let planes = [1, 3, 19].map { way("byte planes, zstd-\($0)", alone ? .none : .xor, .planes, .level($0)) }
    let own = ("as `pack` stores it", 3, Packed(isDifference: !alone, dtype: dtype) as any FrameCodec)
    guard alone else {
      return (plain + planes).map { ("XOR, " + $0.name, $0.rounds, $0.codec) } + [
        way("difference, byte planes, zstd-3", .difference(dtype), .planes, .level(3)),
        way("difference, magnitudes, no search", .difference(dtype), .magnitudes, .none), own,
      ]
    }
    return plain + planes + [
      way("exponent planes, zstd-3", .none, .exponentPlanes, .level(3)),
      way("exponent planes, no search", .none, .exponentPlanes, .none), own,
    ]
  }
}
