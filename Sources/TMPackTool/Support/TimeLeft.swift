import TMPackReading

/// Foresees how long a long operation will still take.
///
/// Bytes are dealt with at rates that differ by a hundred between kinds of work, and what an earlier run has finished goes by at
/// once. So the rate is that of the last while, of the kind of work that is being done, and what comes after goes by what it is
/// expected to cost beside that.
struct TimeLeft {
  private struct Mark {
    let seconds: Double
    /// Of the part.
    let done: UInt64
  }

  private static let window = 20.0
  private static let least = 0.5
  private var part = 0
  private var marks: [Mark] = []
  /// When the part began that is being done.
  private var partStart = 0.0
  /// Seconds for a unit of expected cost, in parts that are done, and their cost.
  private var spent: (seconds: Double, cost: Double) = (0, 0)
  private var last: WorkPhase?

  /// Takes a report in.
  ///
  /// - Parameter seconds: since the beginning.
  mutating func add(_ progress: WorkProgress, at seconds: Double) {
    let phase = progress.phase
    if let phase, phase.number != part {
      if let last { spent = (spent.seconds + seconds - partStart, spent.cost + last.cost) }
      (part, partStart, marks) = (phase.number, seconds, [])
    }
    last = phase
    marks.append(Mark(seconds: seconds, done: phase?.done ?? progress.done))
    // Some are enough, whatever the number of reports.
    if marks.count > 256 { marks = marks.enumerated().filter { $0.offset % 2 == 0 || $0.offset == 256 }.map(\.element) }
    while marks.count > 2, let first = marks.first, seconds - first.seconds > Self.window { marks.removeFirst() }
  }

  /// nil while too little is known.
  func seconds(_ progress: WorkProgress) -> Double? {
    guard let first = marks.first, let now = marks.last, now.seconds - first.seconds >= Self.least,
      now.done > first.done
    else { return nil }
    let rate = Double(now.done - first.done) / (now.seconds - first.seconds)
    guard let phase = progress.phase else { return Double(progress.total - progress.done) / rate }
    let left = Double(phase.total - phase.done) / rate
    // This part as it goes would take so long, all in all: what follows costs as much in proportion.
    guard phase.cost > 0 else { return left }
    let unit = (Double(phase.total) / rate + spent.seconds) / (phase.cost + spent.cost)
    return left + phase.costAfter * unit
  }

  /// The share of the work that is done, by what its parts are expected to cost.
  static func share(_ progress: WorkProgress) -> Double {
    guard let phase = progress.phase else {
      return progress.total == 0 ? 1 : Double(progress.done) / Double(progress.total)
    }
    let all = phase.costBefore + phase.cost + phase.costAfter
    guard all > 0 else { return 1 }
    let own = phase.total == 0 ? 1 : Double(phase.done) / Double(phase.total)
    return (phase.costBefore + own * phase.cost) / all
  }

  /// Bytes a second, lately.
  var rate: Double? {
    guard let first = marks.first, let now = marks.last, now.seconds - first.seconds >= Self.least,
      now.done > first.done
    else { return nil }
    return Double(now.done - first.done) / (now.seconds - first.seconds)
  }
}
