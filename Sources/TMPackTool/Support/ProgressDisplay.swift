import TMPackReading

/// Shows progress on standard error: on a terminal a bar that is redrawn, otherwise a plain line now and then, and none for
/// what is done at once.
final class ProgressDisplay {
  private let isQuiet: Bool
  private let start = ContinuousClock.now
  /// When something was last shown, if anything was.
  private var lastShown: ContinuousClock.Instant?
  private var lastStage = ""
  private var timeLeft = TimeLeft()

  init(isQuiet: Bool) { self.isQuiet = isQuiet }

  func show(_ progress: WorkProgress) {
    guard !isQuiet else { return }
    let now = ContinuousClock.now
    timeLeft.add(progress, at: (now - start) / .seconds(1))
    if Console.standardErrorIsTerminal {
      guard progress.stage != lastStage || now - (lastShown ?? .now - .seconds(1)) >= .milliseconds(100) else { return }
      Console.draw("\r\u{1B}[K\(bar(progress)) \(facts(progress))  \(progress.stage)")
      Console.isDrawing = true
    } else {
      guard now - (lastShown ?? start) >= .seconds(10) else { return }
      Console.talk("\(progress.stage): \(facts(progress))")
    }
    lastShown = now
    lastStage = progress.stage
  }

  /// Ends the bar, if there is one.
  func finish() {
    if Console.isDrawing { Console.draw("\r\u{1B}[K") }
    Console.isDrawing = false
  }

  private func bar(_ progress: WorkProgress) -> String {
    let filled = Int(TimeLeft.share(progress) * 24)
    return String(repeating: "█", count: filled) + String(repeating: "░", count: 24 - filled)
  }

  private func facts(_ progress: WorkProgress) -> String {
    let percent = "\(String(Int(TimeLeft.share(progress) * 100)).leftPadded(to: 3)) %"
    guard let rate = timeLeft.rate, let seconds = timeLeft.seconds(progress) else { return percent }
    return "\(percent)  \(ByteSize.text(UInt64(min(rate, 0x1p62))))/s  \(Self.time(seconds)) left"
  }

  static func time(_ seconds: Double) -> String {
    let whole = Int(seconds.rounded(.up))
    if whole < 60 { return "\(whole) s" }
    if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
    return "\(whole / 3600) h \(whole / 60 % 60) min"
  }
}
