import TMPackByteIO

/// Both header slots, and which of them is active (TMP-2-2 to TMP-2-6).
package struct HeaderSlots: Sendable {
  enum State: Sendable {
    case empty
    case valid(HeaderSlot)
    case damaged(StorageError)
  }

  let states: [State]
  package let active: HeaderSlot

  /// What an interrupted append, or damage to what was appended, has left. Reading goes on; verifying fails.
  package private(set) var residue: [StorageError]
  /// Whether a writer is at work: what it has begun is no residue (TMP-2-11).
  package private(set) var isBeingWritten = false

  /// - Throws: `unknownFormat` when no slot has the magic number, `truncated`, or what is wrong with the first slot.
  package init(of file: ReadableFile) throws(StorageError) {
    guard file.size >= Layout.contentStart else {
      let start = try file.bytes(at: 0, count: min(HeaderSlot.magic.count, Int(file.size)))
      guard file.size >= HeaderSlot.magic.count, start == HeaderSlot.magic else {
        throw StorageError(.unknownFormat, "is not a tmpack archive", file: file.path)
      }
      throw StorageError(.truncated, "ends inside the header", file: file.path, offset: file.size)
    }
    var states: [State] = []
    for offset in Layout.slotOffsets {
      states.append(
        try file.withBytes(at: offset, count: Layout.slotSize) { raw in
          if raw.allSatisfy({ $0 == 0 }) { return .empty }
          do throws(StorageError) { return .valid(try HeaderSlot(parsing: raw, at: offset)) } catch {
            return .damaged(error.at(file: file.path))
          }
        })
    }
    self.states = states
    active = try located(file: file.path) { () throws(StorageError) in try Self.active(states) }
    guard file.size >= active.archiveEnd else {  // TMP-2-5
      throw StorageError(
        .truncated, "the archive ends at byte \(active.archiveEnd), the file at byte \(file.size)", file: file.path,
        offset: file.size)
    }
    var residue: [StorageError] = []
    for (state, offset) in zip(states, Layout.slotOffsets) {
      switch state {
      case .damaged(let error):
        residue.append(
          StorageError(
            .malformed, "a header slot is damaged, and the other one is used: \(error.message)", file: file.path,
            offset: error.offset))
      case .empty where active.generation > 1:
        residue.append(StorageError(.malformed, "the other header slot was erased", file: file.path, offset: offset))
      case .empty, .valid: break
      }
    }
    if file.size > active.archiveEnd {  // TMP-2-6
      residue.append(
        StorageError(
          .malformed,
          "\(file.size - active.archiveEnd) bytes follow the end of the archive, as after an interrupted append",
          file: file.path, offset: active.archiveEnd))
    }
    self.residue = residue
  }

  /// The same beside a writer.
  func besideWriter() -> HeaderSlots {
    var copy = self
    (copy.residue, copy.isBeingWritten) = ([], true)
    return copy
  }

  private static func active(_ states: [State]) throws(StorageError) -> HeaderSlot {
    var valid: [HeaderSlot] = []
    for (index, state) in states.enumerated() {
      guard case .valid(let slot) = state else { continue }
      guard HeaderSlot.slot(ofGeneration: slot.generation) == index else {  // TMP-2-4
        throw StorageError(
          .malformed, "generation \(slot.generation) is in the wrong header slot",
          offset: Layout.slotOffsets[index] + 16)
      }
      valid.append(slot)
    }
    // A newer major version is not damage, nor is an index beyond the limits: the archive is not for this build.
    for case .damaged(let error) in states where [.unsupportedVersion, .limitExceeded].contains(error.code) {
      throw error
    }
    if valid.count == 2 {
      let generations = valid.map(\.generation).sorted()
      guard generations[1] - generations[0] == 1 else {
        throw StorageError(
          .malformed, "the header slots' generations \(generations[0]) and \(generations[1]) do not follow each other")
      }
    }
    if let newest = valid.max(by: { $0.generation < $1.generation }) { return newest }  // TMP-2-3
    // Prefer what is wrong with a slot that at least has the magic number.
    var first: StorageError?
    for case .damaged(let error) in states {
      if error.code != .unknownFormat { throw error }
      first = first ?? error
    }
    throw StorageError(
      .unknownFormat, "is not a tmpack archive: \(first?.message ?? "both header slots are empty")",
      offset: first?.offset ?? 0)
  }
}
