import TMPack

/// Shows progress on standard error: a bar that is redrawn on a terminal, a line a stage and now and then otherwise.
final class ProgressDisplay {
  private let isQuiet: Bool
  private let start = ContinuousClock.now
  private var lastDrawn: ContinuousClock.Instant?
  private var lastStage = ""
  private var drewBar = false

  init(isQuiet: Bool) { self.isQuiet = isQuiet }

  func show(_ progress: Progress) {
    guard !isQuiet else { return }
    let now = ContinuousClock.now
    let interval: Duration = Console.standardErrorIsTerminal ? .milliseconds(100) : .seconds(10)
    let isNewStage = progress.stage != lastStage
    guard isNewStage || lastDrawn.map({ now - $0 >= interval }) ?? true else { return }
    lastDrawn = now
    lastStage = progress.stage
    let text = line(progress, elapsed: (now - start) / .seconds(1))
    if Console.standardErrorIsTerminal {
      Console.draw("\r\u{1B}[K" + text)
      drewBar = true
    } else {
      Console.talk(text)
    }
  }

  /// Ends the bar, if there is one.
  func finish() {
    if drewBar { Console.draw("\r\u{1B}[K") }
    drewBar = false
  }

  private func line(_ progress: Progress, elapsed: Double) -> String {
    let share = progress.total == 0 ? 1 : Double(progress.done) / Double(progress.total)
    let filled = Int(share * 24)
    let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: 24 - filled)
    let percent = String(Int(share * 100)).leftPadded(to: 3)
    guard elapsed > 0.2, share > 0 else { return "\(bar) \(percent) %  \(progress.stage)" }
    let speed = Double(progress.done) / elapsed
    let left = elapsed / share - elapsed
    return "\(bar) \(percent) %  \(ByteSize.text(UInt64(speed)))/s  \(Self.time(left)) left  \(progress.stage)"
  }

  private static func time(_ seconds: Double) -> String {
    let whole = Int(seconds.rounded(.up))
    if whole < 60 { return "\(whole) s" }
    if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
    return "\(whole / 3600) h \(whole / 60 % 60) min"
  }
}
