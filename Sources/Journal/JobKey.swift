import TMPackByteIO

/// Which job of packing: the inputs and options decide what comes of it, and nothing else.
package struct JobKey: Sendable, Hashable {
  package enum Kind: UInt8, Sendable, CaseIterable {
    /// A weight file → its digest.
    case source = 1
    /// A tensor of the shared model → its digest and payload.
    case shared = 2
    /// A tensor of an expert → what a search of a rate needs to know of it.
    case analysis = 3
    /// A tensor of an expert, and a probe of such a search → what the tensor becomes there.
    case probe = 4
    /// A tensor of an expert → what the archive holds of it.
    case packing = 5
  }

  package let kind: Kind
  /// In the order of packing; 0 where no expert is concerned.
  package let expert: Int
  /// Of the file, in the order of paths, or of the tensor, in the order of its model.
  package let index: Int
  /// Of the search, in order; 0 where there is none.
  package let round: Int

  init(kind: Kind, expert: Int, index: Int, round: Int = 0) {
    self.kind = kind
    self.expert = expert
    self.index = index
    self.round = round
  }

  package static func source(_ index: Int) -> JobKey { JobKey(kind: .source, expert: 0, index: index) }
  package static func shared(_ index: Int) -> JobKey { JobKey(kind: .shared, expert: 0, index: index) }
  /// - Parameter attempt: how often a search has asked for more before.
  package static func analysis(_ expert: Int, _ index: Int, attempt: Int = 0) -> JobKey {
    JobKey(kind: .analysis, expert: expert, index: index, round: attempt)
  }
  package static func probe(_ round: Int, _ expert: Int, _ index: Int) -> JobKey {
    JobKey(kind: .probe, expert: expert, index: index, round: round)
  }
  package static func packing(_ expert: Int, _ index: Int) -> JobKey {
    JobKey(kind: .packing, expert: expert, index: index)
  }
}

/// What a job has found, in a form that a journal keeps.
package protocol JobResult: Sendable {
  /// What the result is of, which is known without it.
  associatedtype Subject: Sendable

  /// - Throws: `truncated` or `malformed`.
  init(parsing reader: inout ByteReader, of subject: Subject) throws(StorageError)
  func write(to writer: inout ByteWriter)
}
