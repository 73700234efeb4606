import Synchronization
import TMPackByteIO

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What OpenBLAS maps for each thread that is in a call of it, and keeps: address space more than memory.
final class BLASBuffers: Sendable {
  /// On processors of 64 bits.
  private static let size = 128 << 20
  /// OpenBLAS has places for twice as many as it knows processors, which are 64 or more in what distributions build.
  private static let mostMade = 64

  private let count = Mutex(0)

  /// Has OpenBLAS make buffers until there are so many.
  func grow(to wanted: Int) throws(StorageError) {
    try count.withLock { count throws(StorageError) in
      guard wanted > count else { return }
      do throws(StorageError) { try Resources.checkMemory(Self.size, pieces: wanted - count) } catch {
        let error = StorageError(
          error.code, "linear algebra on \(wanted == 1 ? "one thread" : "\(wanted) threads") \(error.message)")
        throw wanted == 1 ? error : error.with(.fewerThreads)
      }
      Self.allocate(min(wanted, Self.mostMade))
      count = wanted
    }
  }

  /// By functions that OpenBLAS exports but does not document: without them, the buffers are made when they are needed.
  private static func allocate(_ count: Int) {
    typealias Allocate = @convention(c) (CInt) -> UnsafeMutableRawPointer?
    typealias Free = @convention(c) (UnsafeMutableRawPointer?) -> Void
    #if canImport(Darwin)
      let everywhere = UnsafeMutableRawPointer(bitPattern: -2)
    #else
      let everywhere: UnsafeMutableRawPointer? = nil
    #endif
    guard let allocate = dlsym(everywhere, "blas_memory_alloc"), let free = dlsym(everywhere, "blas_memory_free") else {
      return
    }
    let buffers = (0..<count).map { _ in unsafeBitCast(allocate, to: Allocate.self)(0) }
    for buffer in buffers { unsafeBitCast(free, to: Free.self)(buffer) }
  }
}
