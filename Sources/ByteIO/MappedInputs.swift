import Synchronization
import TMPackCSystem

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Where input files are mapped in memory, for who has to say which of them a fault is about.
///
/// A mapped file that another process cuts off, or whose disk fails, cannot be read any more: instead of an error there is a
/// signal. A library must not catch it for a whole process; a program can, with `endProcessOnFault`.
package enum MappedInputs {
  private struct Mapping: Sendable {
    let count: Int
    let path: String
  }
  private static let mappings = Mutex<[UInt: Mapping]>([:])

  static func add(_ mapping: UnsafeRawBufferPointer, _ path: String) {
    guard let start = mapping.baseAddress else { return }
    mappings.withLock { $0[UInt(bitPattern: start)] = Mapping(count: mapping.count, path: path) }
  }

  static func remove(_ mapping: UnsafeRawBufferPointer) {
    guard let start = mapping.baseAddress else { return }
    mappings.withLock { _ = $0.removeValue(forKey: UInt(bitPattern: start)) }
  }

  /// What to say of a fault; nil where no input is mapped.
  static func fault(at address: UnsafeRawPointer?) -> StorageError? {
    let place = UInt(bitPattern: address)
    let found = mappings.withLock { mappings in
      mappings.first { place >= $0.key && place - $0.key < UInt($0.value.count) }
    }
    guard let (start, mapping) = found else { return nil }
    return StorageError(
      .inputOutput, "cannot be read any more: it was cut off while it was in use, or its disk fails",
      file: mapping.path, offset: UInt64(place - start))
  }

  nonisolated(unsafe) private static var exit: (StorageError) -> Never = { _ in abort() }
  nonisolated(unsafe) private static var previous = sigaction()

  /// Makes such a fault end the process, with nothing unfinished left behind. Other faults do what they did before.
  ///
  /// For programs: call once, at their start.
  ///
  /// - Parameter exit: says what is wrong and ends the process; it must run no code of working threads.
  package static func endProcessOnFault(_ exit: @escaping (StorageError) -> Never) {
    self.exit = exit
    var action = sigaction()
    let handler: @convention(c) (Int32, UnsafeMutablePointer<siginfo_t>?, UnsafeMutableRawPointer?) -> Void = {
      _, info, _ in
      // The signal comes to the thread that has touched the mapping, in the middle of reading and of nothing else: it
      // holds no lock, so that here, unlike in other handlers, everything may be done.
      if let fault = MappedInputs.fault(at: tmpack_fault_address(info)) {
        UnfinishedOutputs.undoAll { MappedInputs.exit(fault) }
      }
      // It comes again when this returns.
      sigaction(SIGBUS, &MappedInputs.previous, nil)
    }
    #if canImport(Darwin)
      action.__sigaction_u.__sa_sigaction = handler
    #elseif canImport(Glibc)
      action.__sigaction_handler.sa_sigaction = handler
    #else
      action.__sa_handler.sa_sigaction = handler
    #endif
    action.sa_flags = SA_SIGINFO
    sigaction(SIGBUS, &action, &previous)
  }
}
