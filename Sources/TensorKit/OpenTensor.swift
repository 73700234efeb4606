import TMPackByteIO

/// A tensor for who reads it in parts, each as often as needed: it is whole in memory only where it is small, where it is there already,
/// or where the source makes it as a whole.
package struct OpenTensor: Sendable {
  /// Fills memory with some of the bytes, on several threads at once.
  package typealias Reader =
    @Sendable (_ range: Range<Int>, _ destination: UnsafeMutableRawBufferPointer) throws(StorageError) -> Void

  private enum Place: Sendable {
    case memory(TensorBytes)
    case parts(PartMemory, Reader)
  }

  /// Bytes of it.
  package let count: Int
  private let place: Place

  /// Bytes of a tensor that is read at once, whatever its source: not many beside what else is held of one.
  package static let smallBytes = 32 << 20
  /// Of a run, unless another length is asked for: they stay in a core's cache, and are whole elements of any dtype.
  package static let runBytes = 1 << 20

  package init(_ bytes: TensorBytes) { (count, place) = (bytes.count, .memory(bytes)) }

  package init(count: Int, read: @escaping Reader) {
    (self.count, place) = (count, .parts(PartMemory(partBytes: Self.runBytes), read))
  }

  /// So many zeros.
  package static func zeros(count: Int) -> OpenTensor {
    OpenTensor(count: count) { _, target in target.initializeMemory(as: UInt8.self, repeating: 0) }
  }

  /// Lends some bytes: a copy unless they are in memory.
  package func withBytes<Result>(
    _ range: Range<Int>, _ body: (UnsafeRawBufferPointer) throws(StorageError) -> Result
  ) throws(StorageError) -> Result {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "bytes of the tensor")
    switch place {
    case .memory(let bytes):
      return try bytes.withBytes { raw throws(StorageError) in try body(UnsafeRawBufferPointer(rebasing: raw[range])) }
    case .parts(let memory, let read):
      let bytes = try memory.bytes(count: range.count) { target throws(StorageError) in try read(range, target) }
      return try bytes.withBytes(body)
    }
  }

  /// Lends all bytes, in runs and in order.
  ///
  /// - Parameter length: of each run but the last.
  package func forEachRun(
    of length: Int = runBytes, _ body: (_ start: Int, UnsafeRawBufferPointer) throws(StorageError) -> Void
  ) throws(StorageError) {
    for start in stride(from: 0, to: count, by: length) {
      try withBytes(start..<min(start + length, count)) { run throws(StorageError) in try body(start, run) }
    }
  }

  /// The tensor in memory.
  package func bytes() throws(StorageError) -> TensorBytes {
    if case .memory(let bytes) = place { return bytes }
    return try TensorBytes(count: count) { target throws(StorageError) in
      try forEachRun { start, run in
        UnsafeMutableRawBufferPointer(rebasing: target[start..<start + run.count]).copyMemory(from: run)
      }
    }
  }
}

extension TensorSource {
  /// A tensor to be read in parts.
  ///
  /// - Parameter info: one of `tensors`.
  package func opened(_ info: TensorInfo) throws(StorageError) -> OpenTensor {
    try located(file: label, tensor: info.name) { () throws(StorageError) in
      guard info.byteCount > OpenTensor.smallBytes else { return OpenTensor(try bytes(of: info)) }
      if let stored = try stored(info), stored.isPlain(info) {
        return OpenTensor(count: info.byteCount) { range, target throws(StorageError) in
          try stored.range.copy(from: range.lowerBound, into: target)
        }
      }
      if try piece(0..<0, of: info) != nil {
        let source = self
        return OpenTensor(count: info.byteCount) { range, target throws(StorageError) in
          try located(file: source.label, tensor: info.name) { () throws(StorageError) in
            if let piece = try source.piece(range, of: info) { return target.copyBytes(from: piece) }
            try source.bytes(of: info).withBytes {
              target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range]))
            }
          }
        }
      }
      guard let spanned = try spanned(info) else { return OpenTensor(try bytes(of: info)) }
      let reader = try spanned.opened(of: info.byteCount)
      return OpenTensor(count: info.byteCount) { range, target throws(StorageError) in
        try spanned.fill(target, from: range.lowerBound, of: info.byteCount, by: reader)
      }
    }
  }
}
