/// Numbers at a place in memory that stays, for kernels that are given addresses.
package final class FixedFloats: @unchecked Sendable {
  private let memory: UnsafeMutableBufferPointer<Float>

  /// - Parameter fill: writes every number.
  package init(count: Int, filledBy fill: (UnsafeMutableBufferPointer<Float>) -> Void) {
    memory = .allocate(capacity: count)
    fill(memory)
  }

  deinit { memory.deallocate() }

  package var count: Int { memory.count }
  package var values: UnsafeBufferPointer<Float> { UnsafeBufferPointer(memory) }
}
