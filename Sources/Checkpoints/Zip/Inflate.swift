import TMPackByteIO
import TMPackCZlib

/// Decompresses one deflate stream (RFC 1951) into memory whose size the caller has checked.
///
/// Memory: zlib's, 40 kB.
enum Inflate {
  /// Fills `output` with the first bytes of the stream.
  ///
  /// - Parameter whole: whether the stream must end with the last byte of `output` and of `bytes`.
  /// - Throws: `malformed`, `truncated`, `outOfMemory`.
  static func run(
    _ bytes: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer, whole: Bool
  ) throws(StorageError) {
    var stream = z_stream()
    let isReady = inflateInit2_(&stream, -MAX_WBITS, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK
    guard isReady else { throw StorageError(.outOfMemory, "there is no memory to decompress data") }
    defer { inflateEnd(&stream) }

    var (read, written) = (0, 0)
    // Where the stream would go on when `output` is full; room for one byte shows whether it does.
    var beyond: UInt8 = 0
    while true {
      if written == output.count, !whole { return }
      let isFull = written == output.count
      let input = UnsafeRawBufferPointer(rebasing: bytes[read...].prefix(Self.mostAtOnce))
      let room = UnsafeMutableRawBufferPointer(rebasing: output[written...].prefix(Self.mostAtOnce))
      let status = withUnsafeMutableBytes(of: &beyond) { beyond in
        let target = isFull ? beyond : room
        stream.next_in = UnsafeMutablePointer(mutating: input.bindMemory(to: UInt8.self).baseAddress)
        stream.avail_in = UInt32(input.count)
        stream.next_out = target.bindMemory(to: UInt8.self).baseAddress
        stream.avail_out = UInt32(target.count)
        return inflate(&stream, Z_NO_FLUSH)
      }
      read += input.count - Int(stream.avail_in)
      if isFull {
        guard stream.avail_out == 1 else {
          throw StorageError(
            .malformed, "the compressed data gives more than the \(output.count) bytes that were declared")
        }
      } else {
        written += room.count - Int(stream.avail_out)
      }
      switch status {
      case Z_OK: continue
      case Z_STREAM_END:
        guard written == output.count else {
          throw StorageError(
            .malformed, "the compressed data gives \(written) bytes where \(output.count) were declared")
        }
        guard read == bytes.count || !whole else { throw StorageError(.malformed, "bytes follow the compressed data") }
        return
      // No progress is possible.
      case Z_BUF_ERROR: throw StorageError(.truncated, "the compressed data ends too early")
      case Z_MEM_ERROR: throw StorageError(.outOfMemory, "there is no memory to decompress data")
      default:
        let reason = stream.msg.map { String(cString: $0) } ?? "it is damaged"
        throw StorageError(.malformed, "the compressed data cannot be read: \(reason)")
      }
    }
  }

  /// zlib counts in 32 bits.
  private static let mostAtOnce = 1 << 30
}
