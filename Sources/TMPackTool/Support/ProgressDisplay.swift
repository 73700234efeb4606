import TMPackReading

/// Shows progress on standard error: on a terminal a bar that is redrawn, otherwise a plain line now and then, and none for
/// what is done at once.
final class ProgressDisplay {
  private let isQuiet: Bool
  private let start = ContinuousClock.now
  /// When something was last shown, if anything was.
  private var lastShown: ContinuousClock.Instant?
  private var lastStage = ""
  private var drewBar = false

  init(isQuiet: Bool) { self.isQuiet = isQuiet }

  func show(_ progress: WorkProgress) {
    guard !isQuiet else { return }
    let now = ContinuousClock.now
    let facts = facts(progress, elapsed: (now - start) / .seconds(1))
    if Console.standardErrorIsTerminal {
      guard progress.stage != lastStage || now - (lastShown ?? .now - .seconds(1)) >= .milliseconds(100) else { return }
      Console.draw("\r\u{1B}[K\(bar(progress)) \(facts)  \(progress.stage)")
      drewBar = true
    } else {
      guard now - (lastShown ?? start) >= .seconds(10) else { return }
      Console.talk("\(progress.stage): \(facts)")
    }
    lastShown = now
    lastStage = progress.stage
  }

  /// Ends the bar, if there is one.
  func finish() {
    if drewBar { Console.draw("\r\u{1B}[K") }
    drewBar = false
  }

  private func share(_ progress: WorkProgress) -> Double {
    progress.total == 0 ? 1 : Double(progress.done) / Double(progress.total)
  }

  private func bar(_ progress: WorkProgress) -> String {
    let filled = Int(share(progress) * 24)
    return String(repeating: "█", count: filled) + String(repeating: "░", count: 24 - filled)
  }

  private func facts(_ progress: WorkProgress, elapsed: Double) -> String {
    let share = share(progress)
    let percent = "\(String(Int(share * 100)).leftPadded(to: 3)) %"
    guard elapsed > 0.2, share > 0 else { return percent }
    let speed = ByteSize.text(UInt64(Double(progress.done) / elapsed))
    return "\(percent)  \(speed)/s  \(Self.time(elapsed / share - elapsed)) left"
  }

  static func time(_ seconds: Double) -> String {
    let whole = Int(seconds.rounded(.up))
    if whole < 60 { return "\(whole) s" }
    if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
    return "\(whole / 3600) h \(whole / 60 % 60) min"
  }
}
