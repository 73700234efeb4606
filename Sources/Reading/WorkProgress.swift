/// How far a long operation is.
package struct WorkProgress: Sendable, Hashable {
  /// What is being done, such as `packing math`.
  package let stage: String
  /// Bytes of input dealt with, of all stages.
  package let done: UInt64
  package let total: UInt64

  package init(stage: String, done: UInt64, total: UInt64) {
    self.stage = stage
    self.done = done
    self.total = total
  }
}

/// Adds up the progress of consecutive stages.
package struct ProgressMeter {
  private let total: UInt64
  private let report: (WorkProgress) -> Void
  private var done: UInt64 = 0
  package var stage = ""

  package init(total: UInt64, report: @escaping (WorkProgress) -> Void) {
    self.total = total
    self.report = report
  }

  package mutating func advance(_ bytes: UInt64) {
    done += bytes
    report(WorkProgress(stage: stage, done: done, total: total))
  }
}
