/// How far a long operation is.
public struct WorkProgress: Sendable, Hashable {
  /// What is being done, such as `packing math`.
  public let stage: String
  /// Bytes of input dealt with, of all stages.
  public let done: UInt64
  public let total: UInt64
  /// How far the work is whose bytes all cost about the same, where there is other work, too.
  package var phase: WorkPhase?

  public init(stage: String, done: UInt64, total: UInt64) {
    self.stage = stage
    self.done = done
    self.total = total
  }
}

/// A part of a long operation.
package struct WorkPhase: Sendable, Hashable {
  /// Which of the parts it is.
  package let number: Int
  package let done: UInt64
  package let total: UInt64
  /// What this part, those before and those after it are expected to cost, in one unit.
  package let cost: Double
  package let costBefore: Double
  package let costAfter: Double
}

/// Adds up the progress of consecutive stages.
package struct ProgressMeter {
  /// Bytes that cost about the same, and what they are expected to cost together.
  package struct Part {
    let bytes: UInt64
    let cost: Double

    package init(bytes: UInt64, cost: Double) {
      self.bytes = bytes
      self.cost = cost
    }
  }

  private let total: UInt64
  private let parts: [Part]
  private let report: (WorkProgress) -> Void
  private var done: UInt64 = 0
  package var stage = ""

  package init(total: UInt64, report: @escaping (WorkProgress) -> Void) {
    self.total = total
    parts = []
    self.report = report
  }

  /// Of parts that follow one another.
  package init(parts: [Part], report: @escaping (WorkProgress) -> Void) {
    total = parts.reduce(0) { $0 + $1.bytes }
    self.parts = parts
    self.report = report
  }

  package mutating func advance(_ bytes: UInt64) {
    done += bytes
    var progress = WorkProgress(stage: stage, done: done, total: total)
    progress.phase = phase
    report(progress)
  }

  private var phase: WorkPhase? {
    var rest = done
    for (number, part) in parts.enumerated() {
      if rest <= part.bytes {
        return WorkPhase(
          number: number, done: rest, total: part.bytes, cost: part.cost,
          costBefore: parts[..<number].reduce(0) { $0 + $1.cost },
          costAfter: parts[(number + 1)...].reduce(0) { $0 + $1.cost })
      }
      rest -= part.bytes
    }
    return nil
  }
}
