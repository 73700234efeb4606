import TMPackByteIO
import TMPackPacking
import TMPackReading
import TestSupport
import Testing

@Suite struct ResumeTests {
  let folder = TemporaryFolder()

  /// The archive of `pack`, and the journal of `resume` at each moment that progress was shown.
  private func snapshots(_ work: SharedWork) throws -> (archive: [UInt8], journals: [[UInt8]]) {
    let archive = try work.pack()
    var journals: [[UInt8]] = []
    let summary = try work.packer.resume(
      base: work.base, experts: work.experts, to: folder("r"), replacing: true
    ) { _ in
      guard let bytes = try? contents(folder("r.resume")), bytes != journals.last else { return }
      journals.append(bytes)
    }
    #expect(summary.reusedJobs == 0)
    #expect(try contents(folder("r")) == archive)
    #expect(FileTree.kind(of: folder("r.resume")) == nil)
    return (archive, journals)
  }

  private func resume(_ work: SharedWork, _ journal: [UInt8]) throws -> Int? {
    putQuickly(journal, at: folder("r.resume"))
    return try work.packer.resume(base: work.base, experts: work.experts, to: folder("r"), replacing: true).reusedJobs
  }

  /// The records that a journal holds whole.
  private func recordCount(_ bytes: [UInt8]) -> Int { recordEnds(bytes).dropFirst().filter { $0 <= bytes.count }.count }

  @Test(arguments: TaskTests.Setting.allCases)
  func nothingThatIsFinishedIsDoneAgain(_ setting: TaskTests.Setting) throws {
    let work = try SharedWork.fixtures(setting.packer(), in: folder)
    let (archive, journals) = try snapshots(work)
    #expect(journals.count >= 10)
    for index in stride(from: 0, to: journals.count, by: 4) {
      let journal = journals[index]
      #expect(try resume(work, journal) == recordCount(journal))
      #expect(try contents(folder("r")) == archive)
    }
  }

  /// A search of a rate is many probes: none that a journal has is made again, wherever the run was killed.
  @Test(arguments: [TaskTests.Setting.error, .errorWithExactTensors, .budget, .budgetPerExpert])
  func aSearchIsTakenUpAtEveryRecord(_ setting: TaskTests.Setting) throws {
    let work = try SharedWork.fixtures(setting.packer(), in: folder)
    let (archive, journals) = try snapshots(work)
    let journal = try #require(journals.last)
    let ends = recordEnds(journal)
    let probes = ends.indices.dropLast().filter { journal[ends[$0] + 4] == 4 }
    #expect(probes.count >= 24)
    for records in [0, probes[0] - 1] + probes + [ends.count - 1] where records % 5 == 0 || records < probes[20] {
      #expect(try resume(work, Array(journal[..<ends[records]])) == records)
      #expect(try contents(folder("r")) == archive, "\(records) records")
    }
  }

  /// Stacks of matrices, wherever the run was killed, and shared out.
  @Test(arguments: [TaskTests.Setting.fixedRank, .error])
  func stacksAreTakenUpAtEveryRecord(_ setting: TaskTests.Setting) throws {
    let work = try SharedWork.stacks(setting.packer(), in: folder)
    let (archive, journals) = try snapshots(work)
    let manifest = try Archive(folder("r")).manifest(ofExpert: "a")
    #expect(manifest.tensors.filter { $0.factor.form?.stack != nil }.count == 2)
    let journal = try #require(journals.last)
    let ends = recordEnds(journal)
    for records in ends.indices where records % 4 == 0 {
      #expect(try resume(work, Array(journal[..<ends[records]])) == records)
      #expect(try contents(folder("r")) == archive, "\(records) records")
    }
    for share in 1...3 { try work.run(share, of: 3) }
    #expect(try work.join() == archive)
  }

  /// Where the first n records of a journal end.
  private func recordEnds(_ bytes: [UInt8]) -> [Int] {
    var ends = [128]
    while let next = ends.last, next + 64 <= bytes.count {
      ends.append(next + 64 + Int(bytes[next + 16..<next + 24].reversed().reduce(0) { $0 << 8 | UInt64($1) }))
    }
    return ends
  }

  @Test func tornJournalsAreTakenUpAtTheLastWholeRecord() throws {
    let work = try SharedWork.fixtures(TaskTests.Setting.error.packer(), in: folder)
    let (archive, journals) = try snapshots(work)
    let journal = try #require(journals.last)
    for length in [0, 1, 64, 127, 128, 129, 191, 192] + stride(from: 193, to: journal.count, by: journal.count / 40) {
      let torn = Array(journal[..<length])
      #expect(try resume(work, torn) == recordCount(torn), "\(length)")
      #expect(try contents(folder("r")) == archive)
      // As after a power cut: the end of the file was not written.
      _ = try resume(work, torn + [UInt8](repeating: 0, count: journal.count - length))
      #expect(try contents(folder("r")) == archive)
    }
  }

  @Test func damagedJournalsNeverGiveOtherBytes() throws {
    let work = try SharedWork.fixtures(TaskTests.Setting.errorWithExactTensors.packer(), in: folder)
    let (archive, journals) = try snapshots(work)
    let journal = try #require(journals.last)
    var reused: Set<Int> = []
    for offset in stride(from: 128, to: journal.count, by: journal.count / 80) {
      reused.insert(try resume(work, journal.flipping(0x40, at: offset)) ?? -1)
      #expect(try contents(folder("r")) == archive, "byte \(offset)")
    }
    // Most lose the one record that is damaged.
    #expect(reused.max() == recordCount(journal) - 1)
    // A damaged header is not taken for a torn one: perhaps it is no journal.
    for offset in stride(from: 0, to: 128, by: 9) {
      putQuickly(journal.flipping(1, at: offset), at: folder("q.resume"))
      #expect(
        code { _ = try work.packer.resume(base: work.base, experts: work.experts, to: folder("q")) } == .outputExists)
      #expect(try contents(folder("q.resume")) == journal.flipping(1, at: offset))
      #expect(FileTree.kind(of: folder("q")) == nil)
    }
  }

  @Test func theJournalOfAnotherPackingIsRefused() throws {
    let work = try SharedWork.fixtures(TaskTests.Setting.fixedRank.packer(), in: folder)
    let (_, journals) = try snapshots(work)
    let other = try SharedWork.fixtures(TaskTests.Setting.exact.packer(), in: folder)
    let expected = try other.pack()
    putQuickly(journals[3], at: folder("o.resume"))
    func resume(replacing: Bool) throws {
      _ = try other.packer.resume(base: other.base, experts: other.experts, to: folder("o"), replacing: replacing)
    }
    let error = failure { try resume(replacing: false) }
    #expect(error?.code == .outputExists && error?.file == folder("o.resume"))
    #expect(try contents(folder("o.resume")) == journals[3])
    try resume(replacing: true)
    #expect(try contents(folder("o")) == expected)
  }

  @Test func whatIsRefusedLeavesNoJournal() throws {
    let work = try SharedWork.fixtures(TaskTests.Setting.fixedRank.packer(), in: folder)
    try put([1], at: folder("r"))
    #expect(
      code { _ = try work.packer.resume(base: work.base, experts: work.experts, to: folder("r")) } == .outputExists)
    #expect(folder.names == ["r"])
  }

  /// A file that was written again may have other tensors, even if its size and time of day are alike.
  @Test func aTouchedModelBeginsAnew() throws {
    let tensors = try [tensor("w", .f32, [40, 30], noise(1200, seed: 1))]
    let base = try writeModel(tensors, to: folder("base.safetensors"))
    let other = try writeModel([tensor("w", .f32, [40, 30], noise(1200, seed: 2))], to: folder("x.safetensors"))
    let work = SharedWork(
      packer: Packer(rules: TensorRules(.exact)), base: base,
      experts: [try ExpertInput(name: "x", checkpoint: other)], folder: folder)
    let (_, journals) = try snapshots(work)
    let again = try writeModel([tensor("w", .f32, [40, 30], noise(1200, seed: 2))], to: folder("x.safetensors"))
    let experts = [try ExpertInput(name: "x", checkpoint: again)]
    #expect(code { _ = try work.packer.resume(base: base, experts: work.experts, to: folder("n")) } == .inputOutput)
    #expect(code { _ = try work.packer.resume(base: base, experts: experts, to: folder("n")) } == nil)
    putQuickly(journals.last!, at: folder("n.resume"))
    removeFile(folder("n"))
    #expect(code { _ = try work.packer.resume(base: base, experts: experts, to: folder("n")) } == .outputExists)
  }
}
