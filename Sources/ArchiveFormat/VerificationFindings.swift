import TMPackByteIO

/// What is wrong with an archive, and what of it can no longer be rebuilt because of that.
package struct VerificationFindings: Sendable {
  /// Faults that are listed at most (TMP-8-5): a small file may have any number of them.
  package static let listLimit = 10_000

  /// The first ones, in the order in which they were found.
  package private(set) var faults: [StorageError] = []
  /// How many more there are.
  package private(set) var unlistedCount = 0
  /// What all of them cost, unlisted ones too.
  package private(set) var loss = ArchiveLoss.nothing

  package init() {}

  package var isEmpty: Bool { faults.isEmpty }

  /// - Parameter fault: is only made if it is listed.
  package mutating func add(_ fault: @autoclosure () -> StorageError, losing loss: ArchiveLoss = .nothing) {
    if faults.count < Self.listLimit { faults.append(fault()) } else { unlistedCount += 1 }
    self.loss.formUnion(loss)
  }

  package mutating func add(_ other: VerificationFindings) {
    for fault in other.faults { add(fault) }
    unlistedCount += other.unlistedCount
    loss.formUnion(other.loss)
  }
}

/// What has tensors and files of its own.
package enum ArchivePart: Sendable, Hashable {
  case shared
  /// The expert at this place in declaration order.
  case expert(Int)
  case router
}

/// What can no longer be rebuilt whole.
package struct ArchiveLoss: Sendable, Hashable {
  /// Positions of experts.
  package var experts: Set<Int>
  /// Whether the shared model by itself is lost.
  package var includesShared: Bool

  package init(experts: Set<Int>, includesShared: Bool = false) {
    self.experts = experts
    self.includesShared = includesShared
  }

  package static let nothing = ArchiveLoss(experts: [])

  mutating func formUnion(_ other: ArchiveLoss) {
    experts.formUnion(other.experts)
    includesShared = includesShared || other.includesShared
  }
}

extension ArchiveFile {
  /// What is lost with a tensor of a part: for a shared tensor also the experts that need it.
  package func loss(ofTensor name: String, of part: ArchivePart) -> ArchiveLoss {
    guard case .shared = part else { return loss(ofFileOf: part) }
    return ArchiveLoss(
      experts: Set(
        index.experts.indices.filter { position in
          guard let manifest = try? expertSection(position).manifest else { return false }
          if manifest.lacks(name) { return false }
          return manifest.entry(named: name)?.factor.kind != .replaced
        }), includesShared: true)
  }

  /// What is lost with a carried file of a part: its tensors are there still, but it is not whole.
  package func loss(ofFileOf part: ArchivePart) -> ArchiveLoss {
    switch part {
    case .shared: ArchiveLoss(experts: [], includesShared: true)
    case .expert(let position): ArchiveLoss(experts: [position])
    case .router: .nothing
    }
  }
}
