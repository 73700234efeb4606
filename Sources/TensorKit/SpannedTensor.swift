import TMPackByteIO

/// A tensor that can be made in spans of bytes, so that it need never be whole in memory.
public struct SpannedTensor: Sendable {
  /// Fills `destination` with the tensor's bytes from `start` on: one span. Spans are made in any order and on several threads at once.
  public typealias Reader =
    @Sendable (_ start: Int, _ destination: UnsafeMutableRawBufferPointer) throws(StorageError) -> Void

  /// Bytes of a span; the last may have fewer.
  public let length: Int
  /// Where spans begin: at multiples of so many bytes.
  private let granularity: Int
  private let prepare: @Sendable (Range<Int>?) throws(StorageError) -> Reader

  /// - Parameters:
  ///   - length: of a span in bytes, more than 0.
  ///   - open: makes ready what all spans need, and gives what fills one.
  public init(length: Int, open: @escaping @Sendable () throws(StorageError) -> Reader) {
    self.init(length: length) { _ throws(StorageError) in try open() }
  }

  /// - Parameters:
  ///   - granularity: where spans may begin, of which `length` is a multiple; nil for multiples of `length` alone.
  ///   - prepare: is given the bytes that will be asked for; nil for all.
  package init(
    length: Int, granularity: Int? = nil, prepare: @escaping @Sendable (Range<Int>?) throws(StorageError) -> Reader
  ) {
    precondition(length > 0 && length.isMultiple(of: granularity ?? length), "a span has bytes")
    self.length = length
    self.granularity = granularity ?? length
    self.prepare = prepare
  }

  /// Makes ready what all spans need, such as a decoded factor, which is kept as long as the reader.
  public func open() throws(StorageError) -> Reader { try prepare(nil) }

  /// The same for who fills memory with any bytes, in any order and as often as needed: see `fill`.
  ///
  /// - Parameter byteCount: of the tensor.
  package func opened(of byteCount: Int) throws(StorageError) -> Reader { try prepare(0..<byteCount) }

  /// Fills `target` with the tensor's bytes from `first` on, by the spans that have any of them.
  ///
  /// Memory: what those spans need, and one of them.
  /// - Parameters:
  ///   - byteCount: of the tensor.
  ///   - reader: as `opened` gave it; nil for one that is made for these bytes.
  package func fill(
    _ target: UnsafeMutableRawBufferPointer, from first: Int, of byteCount: Int, by reader: Reader? = nil
  ) throws(StorageError) {
    let end = first + target.count
    precondition(first >= 0 && end <= byteCount, "bytes of the tensor")
    guard !target.isEmpty else { return }
    let begin = first / granularity * granularity
    let stop = min(((end - 1) / granularity + 1) * granularity, byteCount)
    let read: Reader
    if let reader { read = reader } else { read = try prepare(begin..<stop) }
    for start in stride(from: begin, to: stop, by: length) {
      let span = start..<min(start + length, stop)
      let wanted = span.clamped(to: first..<end)
      let place = UnsafeMutableRawBufferPointer(rebasing: target[wanted.lowerBound - first..<wanted.upperBound - first])
      if wanted == span {
        try read(start, place)
      } else {
        let bytes = try [UInt8](count: span.count) { room throws(StorageError) in try read(start, room) }
        bytes.withUnsafeBytes {
          place.copyMemory(
            from: UnsafeRawBufferPointer(rebasing: $0[wanted.lowerBound - start..<wanted.upperBound - start]))
        }
      }
    }
  }
}
