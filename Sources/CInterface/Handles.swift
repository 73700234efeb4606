import Synchronization
import TMPackByteIO
import TMPackCHeader

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What handles stand for. A handle is a number that is never given twice, so that one that is closed is recognised.
enum Handles {
  private struct Table {
    var next: UInt = 0x1000
    var objects: [UInt: any Handled] = [:]
  }
  private static let table = ForkSafe(Table())

  static func add(_ object: any Handled) -> OpaquePointer {
    table.withLock { table in
      let number = table.next
      // As far apart as addresses would be.
      table.next += 16
      table.objects[number] = object
      // Never 0.
      return OpaquePointer(bitPattern: number)!
    }
  }

  /// - Returns: what goes with the handle, for the caller to let go of when nothing is locked.
  static func remove(_ handle: OpaquePointer?) -> (any Handled)? {
    table.withLock { $0.objects.removeValue(forKey: UInt(bitPattern: handle)) }
  }

  /// Calls `body` with what the handle stands for.
  static func with<Object: Handled, Result>(
    _ handle: OpaquePointer?, _: Object.Type, _ body: (Object) throws(StorageError) -> Result
  ) throws(StorageError) -> Result {
    guard let object = table.withLock({ $0.objects[UInt(bitPattern: handle)] }) as? Object else {
      throw StorageError(.invalidArgument, "the handle is not that of an open \(Object.kind)")
    }
    try object.visits.begin()
    defer { object.visits.end() }
    return try body(object)
  }
}

/// What a handle can stand for.
protocol Handled: AnyObject, Sendable {
  static var kind: String { get }
  var visits: Visits { get }
}

/// Who is at work on an object. A child of `fork` gets it as it was: with locks that threads held which the child does not have.
final class Visits: Sendable {
  /// The process, and in the lower half how many of its threads there are.
  private let state = Atomic<UInt64>(UInt64(UInt32(bitPattern: getpid())) << 32)

  func begin() throws(StorageError) {
    let process = UInt64(UInt32(bitPattern: getpid())) << 32
    while true {
      let old = state.load(ordering: .acquiring)
      let isOwn = old & ~0xFFFF_FFFF == process
      guard isOwn || old & 0xFFFF_FFFF == 0 else {
        throw StorageError(
          .invalidArgument, "another thread was using this when the process was forked: open it again in the child")
      }
      let new = isOwn ? old + 1 : process | 1
      if state.compareExchange(expected: old, desired: new, ordering: .acquiringAndReleasing).exchanged { return }
    }
  }

  func end() { state.subtract(1, ordering: .acquiringAndReleasing) }
}
