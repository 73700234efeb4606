import TMPackByteIO

/// What a payload is for.
package enum PayloadPurpose: Sendable, Hashable {
  case content
  /// TMP-6-17, which can be dropped.
  case correction
}

/// The section that payloads are being placed in. Frames have provisional numbers, in the order of placing.
///
/// Large payloads have frames of their own. Small ones are pooled: those of one kind share frames (TMP-5-8).
struct OpenSection {
  /// Writes a frame, or finds it where it is already.
  typealias Store = (EncodedFrame) throws(StorageError) -> FrameRecord

  private struct PoolKind: Hashable {
    let coding: PayloadCoding
    let purpose: PayloadPurpose
  }
  private struct Pool {
    let frame: Int
    var bytes: [UInt8] = []
    /// Places where the statistics may change.
    var boundaries: [Int] = []
  }
  private struct Pooled: Hashable {
    let bytes: [UInt8]
    let kind: PoolKind
  }

  /// Nil for the frame of a pool that is still open.
  private(set) var frames: [FrameRecord?] = []
  private var pools: [PoolKind: Pool] = [:]
  /// Small payloads that are there already, such as those of tied tensors: what digests do for large ones.
  private var pooled: [Pooled: PayloadReference] = [:]

  mutating func place(
    _ payload: EncodedPayload, for purpose: PayloadPurpose, level: Int, store: Store
  ) throws(StorageError) -> PayloadReference {
    switch payload.content {
    case .frames(let encoded):
      let first = frames.count
      for frame in encoded { frames.append(try store(frame)) }
      return PayloadReference(first: first, count: encoded.count, skip: 0, size: payload.size)
    case .pooled(let bytes, let boundaries):
      guard !bytes.isEmpty else { return .empty }
      let kind = PoolKind(coding: payload.coding, purpose: purpose)
      let content = Pooled(bytes: bytes, kind: kind)
      if let known = pooled[content] { return known }
      if let pool = pools[kind], pool.bytes.count + bytes.count > EncodedPayload.frameSize {
        try close(pool, kind, level: level, store: store)
      }
      // Taken out, so that what is appended to has one owner and is not copied.
      var pool = pools.removeValue(forKey: kind) ?? openPool()
      let start = pool.bytes.count
      let reference = PayloadReference(first: pool.frame, count: 1, skip: start, size: bytes.count)
      pool.bytes += bytes
      pool.boundaries += [start] + boundaries.map { start + $0 }
      pools[kind] = pool
      pooled[content] = reference
      return reference
    }
  }

  mutating func closePools(level: Int, store: Store) throws(StorageError) {
    for (kind, pool) in pools.sorted(by: { $0.value.frame < $1.value.frame }) {
      try close(pool, kind, level: level, store: store)
    }
  }

  private mutating func openPool() -> Pool {
    frames.append(nil)
    return Pool(frame: frames.count - 1)
  }

  private mutating func close(_ pool: Pool, _ kind: PoolKind, level: Int, store: Store) throws(StorageError) {
    let frame = pool.bytes.withUnsafeBytes {
      EncodedFrame($0, kind.coding, boundaries: pool.boundaries, level: level)
    }
    frames[pool.frame] = try store(frame)
    pools[kind] = nil
  }
}
