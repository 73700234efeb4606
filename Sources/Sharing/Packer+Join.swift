import TMPackByteIO
import TMPackCheckpoints
import TMPackDigests
import TMPackFactorization
import TMPackJSON
import TMPackJournal
import TMPackPacking
import TMPackReading

/// The parts that runs have made of a task list, known to be complete.
package struct PartSet: Sendable {
  package let jobs: [(key: JobKey, stored: StoredJob)]
  /// How many there are.
  package let count: Int
  /// What the BLAS's kernels were written for where the parts were made. If there are several, factors may differ from those
  /// of one process in their last bits.
  package let kernels: [String]

  /// Opens parts; of a folder, the files in it whose names end in `.part`.
  ///
  /// - Throws: `notFound` for a share that no part has, or whose part is not finished, with what it was to do; `invalidArgument` for
  ///   parts of another plan or number of shares, or a share that is there twice; `malformed`; what `JournalHeader` throws.
  package init(_ paths: [String], of tasks: TaskList) throws(StorageError) {
    var parts: [Int: JournalContents] = [:]
    var shareCount: Int?
    for path in try Self.files(paths) {
      let part = try JournalContents(ReadableFile(path))
      func refusal(_ message: String) -> StorageError { StorageError(.invalidArgument, message, file: path) }
      guard part.header.plan == tasks.plan else { throw refusal("is a part of another task list") }
      let share = part.header.share
      guard shareCount == nil || share.count == shareCount else {
        throw refusal("is share \(share); other parts are of \(shareCount!) shares")
      }
      shareCount = share.count
      if let other = parts[share.index] { throw refusal("is share \(share), and so is \(other.path)") }
      parts[share.index] = part
    }
    guard let shareCount else { throw StorageError(.notFound, "no part is given") }
    for index in 1...shareCount { try Self.check(parts[index], TaskShare(index, of: shareCount), tasks) }
    let ordered = parts.sorted { $0.key < $1.key }.map(\.value)
    jobs = ordered.flatMap(\.jobs)
    count = ordered.count
    kernels = Set(ordered.map(\.header.kernels)).sorted()
  }

  private static func files(_ paths: [String]) throws(StorageError) -> [String] {
    var files: [String] = []
    for path in paths {
      guard FileTree.kind(of: path) == .folder else {
        files.append(path)
        continue
      }
      files += try FileTree.names(in: path).filter { $0.hasSuffix(".part") && !$0.hasPrefix(".") }.map {
        FileTree.join(path, $0)
      }
    }
    return files
  }

  private static func check(
    _ part: JournalContents?, _ share: TaskShare, _ tasks: TaskList
  ) throws(StorageError) {
    let expected = tasks.jobs(of: share)
    guard let part, part.isFinished else {
      let what = part == nil ? "no part has share \(share)" : "share \(share) is not finished"
      let example = expected.first.map { ", such as \(tasks.describe($0.key))" } ?? ""
      throw StorageError(
        .notFound, "\(what): \(expected.count) jobs\(example)", file: part?.path
      ).with(.runTask("\(share)"))
    }
    let found = Set(part.jobs.map(\.key))
    if let missing = expected.first(where: { !found.contains($0.key) }) {
      throw StorageError(.malformed, "lacks \(tasks.describe(missing.key))", file: part.path)
    }
    guard found.count == expected.count else {
      throw StorageError(.malformed, "has jobs of other shares", file: part.path)
    }
  }
}

extension Packer {
  /// Makes the archive that `pack` would make, of the results in parts. What a search of a rate decides is done here.
  ///
  /// - Parameters:
  ///   - tasks: made by this packer of these models.
  ///   - resuming: whether to keep what is done here beside the archive until it is complete; see `pack`.
  /// - Throws: `digestMismatch` for a part's record that is damaged, naming the job; what `pack` throws.
  package func join(
    _ parts: PartSet, of tasks: TaskList, base: Checkpoint?, experts: [ExpertInput], to path: String,
    replacing: Bool = false, resuming: Bool = false, progress: @escaping (WorkProgress) -> Void = { _ in }
  ) throws(StorageError) -> PackSummary {
    let journal =
      resuming
      ? try JobJournal(
        resuming: Self.journalPath(path), .whole, plan: tasks.plan, parts: parts.jobs, kernels: BLAS.coreName,
        replacing: replacing, names: tasks.names)
      : JobJournal(parts: parts.jobs, plan: tasks.plan, names: tasks.names)
    return try pack(journal, base: base, experts: experts, to: path, replacing: replacing, progress: progress)
  }

  /// Packs, taking up what an interrupted run with the same options and models has done.
  ///
  /// What is finished is kept beside the archive, in a file of its name with `.resume` added, until the archive is complete.
  /// - Parameter replacing: also replaces such a file of another packing.
  /// - Throws: what `pack` throws; `outputExists` for the journal of another packing. What is done stays kept then.
  package func resume(
    base: Checkpoint?, experts: [ExpertInput], to path: String, replacing: Bool = false,
    progress: @escaping (WorkProgress) -> Void = { _ in }
  ) throws(StorageError) -> PackSummary {
    let inputs = try checkedInputs(base, experts)
    let identity = try identity(inputs, withTimes: true)
    let journal = try JobJournal(
      resuming: Self.journalPath(path), .whole, plan: ContentDigest(of: JSONValue.object(identity).canonicalText),
      kernels: BLAS.coreName, replacing: replacing, names: JobNames(inputs))
    return try pack(journal, base: base, experts: experts, to: path, replacing: replacing, progress: progress)
  }

  static func journalPath(_ archive: String) -> String { archive + ".resume" }

  private func pack(
    _ journal: JobJournal, base: Checkpoint?, experts: [ExpertInput], to path: String, replacing: Bool,
    progress: @escaping (WorkProgress) -> Void
  ) throws(StorageError) -> PackSummary {
    var packer = self
    packer.journal = journal
    do {
      let summary = try packer.pack(base: base, experts: experts, to: path, replacing: replacing, progress: progress)
      journal.removeAfterwards()
      return summary
    } catch {
      journal.removeIfEmpty()
      throw error
    }
  }
}
