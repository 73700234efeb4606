import TMPackByteIO

extension ExpertManifest {
  /// Which of the section's frames corrections use.
  func framesOfCorrections(count: Int) -> [Bool] {
    Self.frames(of: tensors.lazy.compactMap(\.correction), count: count)
  }

  /// TMP-6-18: all lossy entries are corrected, or none, and frames of corrections hold nothing else, so that they can be dropped.
  ///
  /// - Parameter firstBare: the first lossy entry without one.
  func checkFrames(count: Int, firstBare: String?) throws(StorageError) {
    if let firstBare { throw StorageError(.malformed, "has no correction, and others have", tensor: firstBare) }
    let content = files.map(\.payload) + tensors.flatMap(\.content)
    let both = zip(framesOfCorrections(count: count), Self.frames(of: content, count: count))
    for (frame, uses) in both.enumerated() where uses.0 && uses.1 {
      throw StorageError(.malformed, "frame \(frame) holds a correction and something else")
    }
  }

  /// O(payloads + frames), however many payloads share a frame.
  private static func frames(of payloads: some Sequence<PayloadReference>, count: Int) -> [Bool] {
    var changes = [Int](repeating: 0, count: count + 1)
    for payload in payloads {
      changes[payload.frames.lowerBound] += 1
      changes[payload.frames.upperBound] -= 1
    }
    var users = 0
    return changes.dropLast().map { change in
      users += change
      return users > 0
    }
  }
}
