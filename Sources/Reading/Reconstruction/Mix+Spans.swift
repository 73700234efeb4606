import TMPackArchiveFormat
import TMPackByteIO
import TMPackFactors
import TMPackTensorKit

/// How a mix is written in one pass: a span of a tensor's bytes at a time, from the frames, or from what is kept of them, to the output
/// in a core's cache.
extension Mix {
  /// Spans that would have to be longer are not worth it.
  private static let mostSpanBytes = 32 << 20

  public func spanned(_ info: TensorInfo) throws(StorageError) -> SpannedTensor? {
    try spans(of: info)
  }

  /// Rebuilds some of a tensor's bytes in the caller's memory, such as one matrix of a stack, which is all that is decoded then.
  ///
  /// Of a quantised stack all that comes before is decoded, too, but not kept; exact experts of weights other than 1 are decoded as a
  /// whole. A reconstructor that keeps what it decodes decodes and keeps it all.
  /// Memory: beside what is decoded, one span of the tensor's bytes.
  /// - Parameters:
  ///   - range: within `info.byteCount`.
  ///   - info: one of `tensors`.
  ///   - destination: of as many bytes.
  /// - Throws: `unknownName` and `invalidArgument` for what is not so; what reading and decoding throw.
  public func read(
    _ range: Range<Int>, of info: TensorInfo, into destination: UnsafeMutableRawBufferPointer
  ) throws(StorageError) {
    guard range.lowerBound >= 0, range.upperBound <= info.byteCount, destination.count == range.count else {
      throw StorageError(
        .invalidArgument,
        "has \(info.byteCount) bytes; asked for \(range) with room for \(destination.count)", file: label,
        tensor: info.name)
    }
    try located(file: label, tensor: info.name) { () throws(StorageError) in
      guard let spans = try spans(of: info) else {
        return try bytes(of: info).withBytes {
          destination.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range]))
        }
      }
      try spans.fill(destination, from: range.lowerBound, of: info.byteCount)
    }
  }

  private func spans(of info: TensorInfo) throws(StorageError) -> SpannedTensor? {
    guard let recipe = recipe(of: info) else { return nil }
    let reconstructor = reconstructor
    switch recipe {
    case .shared(let base):
      return spans(of: base.info, as: info) { isWhole throws(StorageError) in
        let shared = try reconstructor.openShared(base, isReadWhole: isWhole)
        return { range, target throws(StorageError) in try shared.read(range, into: target) }
      }
    case .exact(let expert, let entry, let own):
      // What is decoded of it is kept as a whole.
      guard reconstructor.memoryLimit == 0 else { return nil }
      switch entry.factor {
      case .replaced(_, _, let payload):
        return spans(of: own, as: info) { _ in
          { range, target throws(StorageError) in
            try reconstructor.read(payload, range, of: entry, ofExpert: expert.position, into: target)
          }
        }
      case .difference(let payload):
        guard let base = reconstructor.shared.manifest.entry(named: entry.name) else { return nil }
        return spans(of: own, as: info) { isWhole throws(StorageError) in
          let shared = try reconstructor.openShared(base, isReadWhole: isWhole)
          return { range, target throws(StorageError) in
            try shared.withBytes(range, in: reconstructor.scratch) { reference throws(StorageError) in
              try reconstructor.withBytes(of: payload, range, of: entry, ofExpert: expert.position) { difference in
                ExactDifference.decode(difference, against: reference, dtype: own.dtype, into: target)
              }
            }
          }
        }
      default: return nil
      }
    case .corrected, .extended: return nil
    case .sum(let base, let addends):
      return try sumSpans(base, addends, as: info)
    }
  }

  /// Spans of a sum are runs of its elements. Exact experts of other weights are decoded as a whole.
  private func sumSpans(
    _ base: SharedEntry, _ addends: [(expert: WeightedExpert, entry: ExpertEntry)], as info: TensorInfo
  ) throws(StorageError) -> SpannedTensor? {
    guard addends.allSatisfy({ $0.entry.factor.isLossy }), let format = base.info.dtype.floatFormat,
      let output = info.dtype.floatFormat
    else { return nil }
    let granularity = addends.reduce(1) { leastCommonMultiple($0, $1.entry.factor.granularity(of: base.info.shape)) }
    let run = reconstructor.runLength(of: base, format, granularity: granularity)
    guard run > 0, run * format.byteWidth <= Self.mostSpanBytes else { return nil }
    let mix = self
    return SpannedTensor(
      length: run * output.byteWidth,
      granularity: run.isMultiple(of: granularity) ? granularity * output.byteWidth : nil
    ) { wanted throws(StorageError) in
      let elements = wanted.map { $0.lowerBound / output.byteWidth..<$0.upperBound / output.byteWidth }
      let sum = try mix.sum(base, addends, as: info, touching: elements)
      let shared = try mix.reconstructor.openShared(base, isReadWhole: wanted == nil)
      return { start, target throws(StorageError) in
        let run = start / output.byteWidth..<(start + target.count) / output.byteWidth
        let bytes = run.lowerBound * format.byteWidth..<run.upperBound * format.byteWidth
        try shared.withBytes(bytes, in: mix.reconstructor.scratch) { raw throws(StorageError) in
          try sum.write(run, shared: raw, into: target)
        }
      }
    }
  }

  /// Spans of a tensor whose bytes are there, for one that may be of another float dtype.
  ///
  /// - Parameter open: gives what reads a range of `own`'s bytes: whole blocks of exact differences. Is told whether all of them will be.
  private func spans(
    of own: TensorInfo, as info: TensorInfo,
    open:
      @escaping @Sendable (_ isWhole: Bool) throws(StorageError) ->
      @Sendable (
        Range<Int>, UnsafeMutableRawBufferPointer
      ) throws(StorageError) -> Void
  ) -> SpannedTensor? {
    guard own.byteCount > 0 else { return nil }
    guard own.dtype != info.dtype else {
      return SpannedTensor(length: Reconstructor.spanBytes) { wanted throws(StorageError) in
        let read = try open(wanted == nil)
        return { start, target throws(StorageError) in try read(start..<start + target.count, target) }
      }
    }
    guard let from = own.dtype.floatFormat, let to = info.dtype.floatFormat else { return nil }
    let (scratch, overflows) = (reconstructor.scratch, overflows)
    let length = Reconstructor.spanBytes / from.byteWidth * to.byteWidth
    return SpannedTensor(length: length) { wanted throws(StorageError) in
      let read = try open(wanted == nil)
      return { start, target throws(StorageError) in
        let begin = start / to.byteWidth * from.byteWidth
        let count = target.count / to.byteWidth * from.byteWidth
        let bytes = try scratch.bytes(count: count) { room throws(StorageError) in
          try read(begin..<begin + count, room)
        }
        try bytes.withBytes { overflows.add(from.convert($0, to: to, into: target)) }
      }
    }
  }
}

extension StoredFactor {
  /// As the `WeightedFactor` that is decoded from it has it, or a multiple.
  fileprivate func granularity(of shape: Shape) -> Int {
    if let stack = form?.stack {
      return (try? stack.checked(against: shape, hasOthers: true))?.rowStride ?? shape.elementCount
    }
    return shape.matrix?.columns ?? 2
  }
}

extension Reconstructor {
  /// A good length for runs of a sum: of a shared tensor in frames, what a frame has; of others, what stays in a core's cache
  /// between the steps.
  fileprivate func runLength(of base: SharedEntry, _ format: FloatFormat, granularity: Int) -> Int {
    let frame = memoryLimit == 0 ? shared.frameBytes(of: base) : nil
    if let frame, frame >= Self.cachedBytes, frame.isMultiple(of: granularity * format.byteWidth) {
      return frame / format.byteWidth
    }
    return WeightedFactor.runLength(
      base.info.shape.elementCount, about: (frame == nil ? Self.cachedBytes : Self.spanBytes) / format.byteWidth,
      granularity: granularity)
  }

  /// Fills `destination` with a part of a payload of an expert's entry.
  fileprivate func read(
    _ payload: PayloadReference, _ range: Range<Int>, of entry: ExpertEntry, ofExpert position: Int,
    into destination: UnsafeMutableRawBufferPointer
  ) throws(StorageError) {
    let section = try archive.file.expertSection(position)
    try located(file: archive.path, expert: archive.experts[position].name, tensor: entry.name) {
      () throws(StorageError) in
      try archive.file.payloads.read(payload, range, of: section, into: destination)
    }
  }

  fileprivate func withBytes(
    of payload: PayloadReference, _ range: Range<Int>, of entry: ExpertEntry, ofExpert position: Int,
    _ body: (UnsafeRawBufferPointer) -> Void
  ) throws(StorageError) {
    let bytes = try scratch.bytes(count: range.count) { room throws(StorageError) in
      try read(payload, range, of: entry, ofExpert: position, into: room)
    }
    try bytes.withBytes { body($0) }
  }
}
