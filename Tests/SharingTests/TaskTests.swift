import ArchiveSupport
import TMPackByteIO
import TMPackCheckpoints
import TMPackDigests
import TMPackFactorization
import TMPackJournal
import TMPackMerging
import TMPackPacking
import TMPackReading
import TMPackSharing
import TMPackTensorKit
import TestSupport
import Testing

@Suite struct TaskTests {
  let folder = TemporaryFolder()

  enum Setting: String, CaseIterable, Sendable {
    case fixedRank, quality, error, errorWithExactTensors, budget, budgetPerExpert, lossless, exact, detached
    case ties, dareTies

    func packer() throws -> Packer {
      let rank = TensorTreatment.factor(try FactorPlan(.lowRank(rank: 3), dtype: .int8))
      func searched(_ target: RateControl.Target, exact: Bool = false) throws -> Packer {
        let rules = TensorRules(.controlled, excluding: exact ? [try Glob("*bias*")] : [])
        return Packer(rules: rules, rate: try RateControl(target), storesCorrections: exact)
      }
      switch self {
      case .fixedRank: return Packer(rules: TensorRules(rank))
      case .quality: return try searched(.quality(16))
      case .error: return try searched(.error(0.4))
      case .errorWithExactTensors: return try searched(.error(0.4), exact: true)
      case .budget: return try searched(.archiveBytes(140_000))
      case .budgetPerExpert: return try searched(.bytesPerExpert(9000))
      case .lossless: return Packer(rules: TensorRules(.exact))
      case .exact: return Packer(rules: TensorRules(rank), storesCorrections: true)
      case .detached: return Packer(sharedModel: .merged(BaseModel()), rules: TensorRules(rank), isDetached: true)
      // Thresholds and choices of the whole model.
      case .ties: return Packer(sharedModel: .merged(try method("ties")), rules: TensorRules(rank))
      case .dareTies: return Packer(sharedModel: .merged(try method("dare-ties")), rules: TensorRules(rank))
      }
    }

    private func method(_ name: String) throws -> any MergingMethod {
      try MergingMethodKind.named(name).method([:])
    }
  }

  @Test(arguments: Setting.allCases) func joiningGivesTheBytesOfPacking(_ setting: Setting) throws {
    let work = try SharedWork.fixtures(setting.packer(), in: folder)
    let expected = try work.pack()
    let jobs = try work.tasks().jobCount
    for count in [1, 2, 3, 7, jobs + 2] {
      work.removeParts()
      let done = try (1...count).map { try work.run($0, of: count, work.with(threads: $0 % 3 + 1)).jobs }
      #expect(done.reduce(0, +) == jobs)
      #expect(try work.join(work.with(threads: count % 3 + 1)) == expected, "\(count) shares")
    }
  }

  @Test(arguments: 0..<12 as Range<UInt64>) func anyModelsCanBeShared(_ seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let sample = try RandomModels(using: &random, in: folder, name: "m")
    let work = SharedWork(packer: sample.packer, base: sample.base, experts: sample.experts, folder: folder)
    let expected = try work.pack()
    for index in 1...3 { try work.run(index, of: 3) }
    #expect(try work.join() == expected)
  }

  @Test(arguments: [PEFTFixture.llama, .embeddings]) func adaptersCanBeShared(_ fixture: PEFTFixture) throws {
    for method in [BaseModel(), TaskArithmetic(scale: 0.5)] as [any MergingMethod] {
      let plan = try FactorPlan(.lowRank(rank: 8), dtype: .f16, keepsKnownRank: true)
      let work = SharedWork(
        packer: Packer(sharedModel: .merged(method), rules: TensorRules(.factor(plan))), base: try fixture.base(),
        experts: [try ExpertInput(name: "x", checkpoint: fixture.adapter())], folder: folder)
      let expected = try work.pack()
      work.removeParts()
      for index in 1...2 { try work.run(index, of: 2) }
      #expect(try work.join() == expected)
    }
  }

  @Test func everyJobIsInOneShareAndTheSharesAreBalanced() throws {
    let tasks = try SharedWork.fixtures(Setting.fixedRank.packer(), in: folder).tasks()
    let largest = try #require(tasks.jobs(of: TaskShare(1, of: 1)).map(\.cost).max())
    for count in 1...12 {
      let shares = try (1...count).map { try tasks.jobs(of: TaskShare($0, of: count)) }
      let keys = shares.flatMap { $0.map(\.key) }
      #expect(keys.count == tasks.jobCount && Set(keys).count == tasks.jobCount)
      let heaviest = shares.map { $0.reduce(0) { $0 + $1.cost } }.max() ?? 0
      // As for any list schedule.
      #expect(heaviest <= tasks.cost / UInt64(count) + max(largest, tasks.cost / UInt64(count)))
    }
    for (index, count) in [(0, 1), (2, 1), (1, 0), (1, 70_000), (-1, 3)] {
      #expect(code { _ = try TaskShare(index, of: count) } == .invalidArgument)
    }
  }

  @Test func partsAndListsAreTheSameBytesForAnyThreads() throws {
    let work = try SharedWork.fixtures(Setting.error.packer(), in: folder)
    var parts: Set<[UInt8]> = []
    for threads in 1...3 {
      work.removeParts()
      try work.run(1, of: 2, work.with(threads: threads))
      parts.insert(try contents(work.part(1)))
    }
    #expect(parts.count == 1)
    let other = SharedWork(packer: work.with(threads: 1), base: work.base, experts: work.experts, folder: folder)
    #expect(try work.tasks().text == other.tasks().text)
    #expect(try TaskListFile(written(work.tasks())).arguments == [])
  }

  /// What `join` itself has to do can be interrupted, too.
  @Test func joiningCanBeResumed() throws {
    let work = try SharedWork.fixtures(Setting.errorWithExactTensors.packer(), in: folder)
    let expected = try work.pack()
    let tasks = try work.tasks()
    for index in 1...2 { try work.run(index, of: 2) }
    func join(_ progress: @escaping (WorkProgress) -> Void = { _ in }) throws -> Int? {
      let parts = try PartSet([work.part(1), work.part(2)], of: tasks)
      let summary = try work.packer.join(
        parts, of: tasks, base: work.base, experts: work.experts, to: folder("j"), replacing: true, resuming: true,
        progress: progress)
      #expect(try contents(folder("j")) == expected)
      return summary.reusedJobs
    }
    var journals: [[UInt8]] = []
    let first = try #require(
      try join { _ in if let bytes = try? contents(folder("j.resume")) { journals.append(bytes) } })
    #expect(first >= tasks.jobCount)
    let last = try #require(journals.last)
    #expect(last.count > 128)
    try put(last, at: folder("j.resume"))
    #expect(try #require(try join()) > first)
    // What is damaged in the journal is made again.
    for offset in stride(from: 200, to: last.count, by: last.count / 20) {
      try put(last.flipping(1, at: offset), at: folder("j.resume"))
      _ = try join()
    }
    // A part that is damaged is an error all the same.
    try put(contents(work.part(1)).flipping(1, at: 5000), at: work.part(1))
    let error = try #require(failure { _ = try join() })
    #expect(error.file == work.part(1) && error.tensor != nil)
    #expect(error.description.contains("; make the part again"))
  }

  private func written(_ tasks: TaskList) throws -> String {
    try put(tasks.text, at: folder("tasks.json"))
    return folder("tasks.json")
  }

  // MARK: Running again

  @Test func aFinishedPartIsLeftAsItIs() throws {
    let work = try SharedWork.fixtures(Setting.fixedRank.packer(), in: folder)
    let first = try work.run(1, of: 2)
    #expect(first.reusedJobs == 0)
    let bytes = try contents(work.part(1))
    let again = try work.run(1, of: 2)
    #expect(again.reusedJobs == again.jobs && again.jobs == first.jobs)
    #expect(try contents(work.part(1)) == bytes)
    // It is not taken for another, nor is anything else of that name replaced.
    #expect(code { _ = try work.run(1, of: 3) } == .outputExists)
    try put([1, 2, 3], at: work.part(2))
    #expect(code { _ = try work.run(2, of: 2) } == .outputExists)
    #expect(folder.names == ["1.part", "2.part"])
  }

  @Test func anInterruptedRunIsTakenUp() throws {
    let work = try SharedWork.fixtures(Setting.exact.packer(), in: folder)
    try work.run(1, of: 1)
    let whole = try contents(work.part(1))
    var reused: [Int] = []
    for length in [0, 1, 100, 128, 150] + stride(from: 200, to: whole.count, by: whole.count / 40) {
      removeFile(work.part(1))
      try put(Array(whole[..<length]), at: work.part(1) + ".resume")
      let summary = try work.run(1, of: 1)
      reused.append(summary.reusedJobs)
      #expect(try contents(work.part(1)) == whole, "\(length)")
      #expect(folder.names == ["1.part"])
    }
    #expect(reused == reused.sorted() && reused[3] == 0 && reused.last! >= reused.count / 2)
  }

  @Test func aDamagedPartIsMadeAgain() throws {
    let work = try SharedWork.fixtures(Setting.fixedRank.packer(), in: folder)
    try work.run(1, of: 1)
    let whole = try contents(work.part(1))
    for offset in stride(from: 130, to: whole.count, by: whole.count / 30) {
      try put(whole.flipping(0x10, at: offset), at: work.part(1))
      try work.run(1, of: 1)
      #expect(try contents(work.part(1)) == whole, "\(offset)")
    }
  }

  @Test func oneProcessAtATimeWorksOnAPart() throws {
    let work = try SharedWork.fixtures(Setting.fixedRank.packer(), in: folder)
    let other = try GrowingFile(work.part(1) + ".resume")
    let error = failure { try work.run(1, of: 1) }
    // One to try again.
    #expect(error?.code.family == .inputOutput)
    #expect(other.size == 0)
  }

  // MARK: Joining

  @Test func joiningSaysWhatIsMissing() throws {
    let work = try SharedWork.fixtures(Setting.fixedRank.packer(), in: folder)
    let tasks = try work.tasks()
    for index in [1, 3] { try work.run(index, of: 3) }
    func join(_ names: String...) -> StorageError? {
      failure { _ = try PartSet(names.map { folder($0) }, of: tasks) }
    }
    let error = join("1.part", "3.part")
    #expect(error?.code == .notFound && error?.message.contains("share 2/3") == true)
    let example = try #require(tasks.jobs(of: TaskShare(2, of: 3)).first)
    #expect(error?.message.contains(tasks.describe(example.key)) == true)
    #expect(join() == StorageError(.notFound, ""))
    try put(contents(folder("1.part")), at: folder("1 again.part"))
    #expect(join("1.part", "1 again.part", "3.part")?.code == .invalidArgument)
    try work.run(2, of: 3)
    #expect(join("1.part", "2.part", "3.part") == nil)
    removeFile(folder("1 again.part"))
    #expect(try PartSet([folder.path], of: tasks).count == 3)
    // Of another number of shares, or another plan.
    try put(Array(contents(folder("2.part")).dropLast(64)), at: folder("2.part"))
    let unfinished = join("1.part", "2.part", "3.part")
    #expect(unfinished?.code == .notFound && unfinished?.file == folder("2.part"))
    removeFile(folder("2.part"))
    try work.run(2, of: 4)
    #expect(join("1.part", "2.part", "3.part")?.code == .invalidArgument)
    let lossless = try SharedWork.fixtures(Setting.lossless.packer(), in: folder).tasks()
    #expect(failure { _ = try PartSet([folder("1.part")], of: lossless) }?.code == .invalidArgument)
  }

  @Test func damagedPartsNeverGiveOtherBytes() throws {
    let work = try SharedWork.fixtures(Setting.error.packer(), in: folder)
    for index in 1...2 { try work.run(index, of: 2) }
    let whole = try contents(work.part(1))
    for length in stride(from: 0, to: whole.count, by: 211) {
      putQuickly(Array(whole[..<length]), at: work.part(1))
      let error = failure { _ = try work.join() }
      #expect(error != nil, "cut at \(length)")
    }
    for offset in stride(from: 0, to: whole.count, by: whole.count / 150) {
      putQuickly(whole.flipping(1 << UInt8(offset % 8), at: offset), at: work.part(1))
      let error = failure { _ = try work.join() }
      #expect(error != nil && error?.file == work.part(1), "byte \(offset)")
    }
    var random = SeededGenerator(seed: 3)
    for _ in 0..<100 {
      let bytes = whole.mutated(using: &random)
      if bytes == whole { continue }
      putQuickly(bytes, at: work.part(1))
      #expect(throws: StorageError.self) { _ = try work.join() }
    }
    #expect(FileTree.kind(of: folder("joined")) == nil)
  }

  /// Records that carry the right digests and yet are no results: made by a program that is not this one.
  @Test func forgedRecordsAreRefusedWithoutACrash() throws {
    let work = try SharedWork.fixtures(Setting.error.packer(), in: folder)
    try work.run(1, of: 1)
    let whole = try contents(work.part(1))
    let plan = Array(whole[32..<64])
    var random = SeededGenerator(seed: 9)
    let starts = recordStarts(whole)
    for round in 0..<300 {
      var bytes = whole
      let start = starts[round % (starts.count - 1)]
      let size = Int(bytes[start + 16..<start + 24].reversed().reduce(0) { $0 << 8 | UInt64($1) })
      guard size > 0 else { continue }
      let payload = start + 64..<start + 64 + size
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        // The beginnings, where the numbers are, more often.
        let range = Bool.random(using: &random) ? payload.prefix(80) : payload
        bytes[Int.random(in: range, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      bytes.replaceSubrange(start + 24..<start + 56, with: ContentDigest(of: Array(bytes[payload])).bytes)
      let check = ContentDigest(of: plan + Array(bytes[start..<start + 56])).bytes[..<8]
      bytes.replaceSubrange(start + 56..<start + 64, with: check)
      putQuickly(bytes, at: work.part(1))
      // It may be another sound result; it must not be a crash.
      _ = failure { _ = try work.join() }
    }
  }

  /// Where the records of a journal begin, by Spec/tasks.md.
  private func recordStarts(_ bytes: [UInt8]) -> [Int] {
    var starts: [Int] = []
    var next = 128
    while next + 64 <= bytes.count {
      starts.append(next)
      next += 64 + Int(bytes[next + 16..<next + 24].reversed().reduce(0) { $0 << 8 | UInt64($1) })
    }
    return starts
  }

  // MARK: Models that change

  private func model(_ name: String, _ seed: UInt64) throws -> Checkpoint {
    try writeModel([tensor("w", .f32, [600, 500], noise(300_000, seed: seed))], to: folder("\(name).safetensors"))
  }

  @Test func aModelThatHasChangedIsNoticed() throws {
    let packer = Packer(rules: TensorRules(.exact))
    func work() throws -> SharedWork {
      SharedWork(
        packer: packer, base: try Checkpoint.open(folder("base.safetensors")),
        experts: [try ExpertInput(name: "x", checkpoint: Checkpoint.open(folder("x.safetensors")))], folder: folder)
    }
    _ = try (model("base", 1), model("x", 2))
    let list = try TaskListFile(written(work().tasks()))
    try list.check(work().tasks())
    _ = try model("x", 3)
    let error = failure { try list.check(work().tasks()) }
    #expect(error?.code == .invalidArgument && error?.file == folder("x.safetensors"))

    // A few bytes between the pieces that are looked at: the tensors' own digests tell, if they are in two shares.
    try work().run(1, of: 2)
    let before = try work().tasks().plan
    let bytes = try contents(folder("base.safetensors"))
    overwriteFile(folder("base.safetensors"), at: 6000, with: [bytes[6000] ^ 1])
    #expect(try work().tasks().plan == before)
    try work().run(2, of: 2)
    let mixed = failure { _ = try work().join() }
    #expect(mixed?.code == .malformed && mixed?.message.contains("a model has changed") == true)
  }

  @Test func listsThatWereChangedAreRefused() throws {
    let work = try SharedWork.fixtures(Setting.fixedRank.packer(), in: folder)
    let path = try written(work.tasks())
    try TaskListFile(path).check(work.tasks())
    let lossless = try SharedWork.fixtures(Setting.lossless.packer(), in: folder)
    #expect(code { try TaskListFile(path).check(lossless.tasks()) } == .invalidArgument)
    let whole = try contents(path)
    putQuickly([UInt8](repeating: UInt8(ascii: "["), count: Limits.jsonDepth + 1), at: path)
    #expect(code { _ = try TaskListFile(path) } == .limitExceeded)
    for length in stride(from: 0, to: whole.count - 2, by: 97) {
      putQuickly(Array(whole[..<length]), at: path)
      #expect(code { _ = try TaskListFile(path) }?.family == .format)
    }
    for offset in stride(from: 0, to: whole.count, by: 13) {
      putQuickly(whole.flipping(1, at: offset), at: path)
      // A space that became an exclamation mark is no JSON any more; what is JSON still is another list.
      #expect(code { _ = try TaskListFile(path) } != nil, "byte \(offset)")
    }
  }
}
