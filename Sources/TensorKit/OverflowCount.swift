import Synchronization

/// Numbers that were too large for the format that they were converted to, counted by several threads.
package final class OverflowCount: Sendable {
  private let total = Atomic(0)

  package init() {}

  package var value: Int { total.load(ordering: .relaxed) }

  package func add(_ count: Int) {
    if count > 0 { total.add(count, ordering: .relaxed) }
  }
}
