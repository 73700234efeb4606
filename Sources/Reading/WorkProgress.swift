/// How far a long operation is.
public struct WorkProgress: Sendable, Hashable {
  /// What is being done, such as `packing math`.
  public let stage: String
  /// Bytes of input dealt with, of all stages.
  public let done: UInt64
  public let total: UInt64

  public init(stage: String, done: UInt64, total: UInt64) {
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
