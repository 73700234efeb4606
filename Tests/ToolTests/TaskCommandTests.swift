import TMPackByteIO
import TMPackJSON
import TestSupport
import Testing

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

@Suite struct TaskCommandTests {
  let folder = TemporaryFolder()

  private static let models = ["--base", base, "--expert", "a66=\(a66)", "--expert", "b44=\(b44)"]

  private func tool(_ arguments: [String]) throws -> Run { try Child(toolPath, arguments).wait() }

  private func plan(_ options: String...) throws -> String {
    let run = try tool(["plan"] + Self.models + options + ["--tasks", folder("tasks.json")])
    try #require(run.code == 0, "\(run.talk)")
    return folder("tasks.json")
  }

  private func integer(_ value: JSONValue?) throws -> Int {
    guard case .integer(let number) = value else { throw StorageError(.malformed, "no number") }
    return Int(number)
  }

  @Test(arguments: [["--rank", "4"], ["--budget-per-expert", "20kB", "--exact"], ["--lossless", "--shared=ties"]])
  func aSharedPackingIsThePacking(_ options: [String]) throws {
    let whole = folder("whole.tmpack")
    #expect(try tool(["pack"] + Self.models + options + ["-o", whole]).code == 0)
    // What is not of the packing is not in the list, however it is given.
    let tasks = folder("tasks.json")
    let made = try tool(
      ["plan", "--threads=1", "--tasks", tasks, "-q"] + Self.models + ["--io", "read"] + options + [
        "--json", "--force",
      ])
    #expect(made.code == 0, "\(made.talk)")
    let list = try object(String(decoding: contents(tasks), as: UTF8.self))
    #expect(strings(list["arguments"]) == Self.models + options)
    let early = try tool(["run", tasks, "--task", "1/3", "-o", folder("parts/1.part")])
    #expect(early.code == 4 && early.talk.contains("there is no folder '\(folder("parts"))'"), "\(early.talk)")
    try FileTree.makeFolder(folder("parts"))
    for index in 1...3 {
      let run = try tool(
        ["run", tasks, "--task", "\(index)/3", "-o", folder("parts/\(index).part"), "--threads", "\(index)"])
      #expect(run.code == 0, "\(run.talk)")
    }
    let join = try tool(["join", tasks, folder("parts"), "-o", folder("joined.tmpack")])
    #expect(join.code == 0, "\(join.talk)")
    #expect(try contents(folder("joined.tmpack")) == contents(whole))
  }

  @Test func planningAgainGivesTheSameList() throws {
    let tasks = try plan("--rank", "2")
    let bytes = try contents(tasks)
    _ = try plan("--rank", "2")
    #expect(try contents(tasks) == bytes)
    let other = try tool(["plan"] + Self.models + ["--rank", "3", "--tasks", tasks, "--json"])
    #expect(try other.code == 1 && other.jsonError()["code"] == "output-exists")
    #expect(try contents(tasks) == bytes)
    #expect(try tool(["plan"] + Self.models + ["--rank", "3", "--tasks", tasks, "--force"]).code == 0)
  }

  @Test func clusterEnginesSayWhichShare() throws {
    let tasks = try plan("--rank", "2")
    func run(_ environment: String, _ task: String) throws -> Run {
      let run = try tmpack(after: "export \(environment)", "run", tasks, "--task", task, "-o", folder("p"), "--json")
      removeFile(folder("p"))
      return run
    }
    func share(_ run: Run) throws -> [Int] { try [integer(run.json()["share"]), integer(run.json()["shares"])] }
    let array = "SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=4 SLURM_ARRAY_TASK_COUNT=4"
    #expect(try share(run("SLURM_ARRAY_TASK_ID=3 \(array)", "slurm")) == [3, 4])
    #expect(try share(run("SLURM_ARRAY_TASK_ID=5", "slurm/8")) == [5, 8])
    #expect(try share(run("JOB_COMPLETION_INDEX=0", "kubernetes/2")) == [1, 2])
    // A part of an array is not an array of fewer shares; and nothing is guessed.
    let some = "SLURM_ARRAY_TASK_MIN=3 SLURM_ARRAY_TASK_MAX=5 SLURM_ARRAY_TASK_COUNT=2"
    for (environment, task) in [
      ("SLURM_ARRAY_TASK_ID=3 \(some)", "slurm"), ("A=1", "slurm"), ("JOB_COMPLETION_INDEX=2", "kubernetes/2"),
      ("JOB_COMPLETION_INDEX=9223372036854775807", "kubernetes/8"), ("JOB_COMPLETION_INDEX=-1", "kubernetes/2"),
      ("JOB_COMPLETION_INDEX=0", "kubernetes/-2"),
      ("JOB_COMPLETION_INDEX=0", "kubernetes"), ("JOB_COMPLETION_INDEX=x", "kubernetes/2"), ("A=1", "0/3"),
      ("A=1", "4/3"), ("A=1", "3"), ("A=1", "1/2/3"), ("A=1", "a/b"),
    ] {
      #expect(try run(environment, task).code == 1, "\(environment) \(task)")
    }
  }

  /// Those that are worth another try, and those that are not.
  @Test func exitCodesTellWhatToTryAgain() throws {
    let tasks = try plan("--rank", "2")
    let missing = try tool(["join", tasks, folder.path, "-o", folder("x.tmpack"), "--json"])
    #expect(try missing.code == 4 && missing.jsonError()["code"] == "not-found")
    #expect(try tool(["run", folder("none"), "--task", "1/1", "-o", folder("p")]).code == 4)
    #expect(try tool(["run", base, "--task", "1/1", "-o", folder("p")]).code == 2)
    #expect(try tool(["run", tasks, "--task", "1/1", "-o", folder("p")]).code == 0)
    try put(Array(contents(folder("p")).dropLast()), at: folder("short"))
    #expect(try tool(["join", tasks, folder("short"), "-o", folder("x.tmpack")]).code == 4)
    try put(contents(folder("p")).flipping(1, at: 1000), at: folder("damaged"))
    #expect(try tool(["join", tasks, folder("damaged"), "-o", folder("x.tmpack")]).code == 2)
    #expect(try tool(["join", tasks, folder("p"), "-o", tasks]).code == 1)
    #expect(try tmpack(after: "ulimit -f 8", "run", tasks, "--task", "1/1", "-o", folder("q")).code == 4)
    // What was finished before the disk was full is there for the next try.
    let again = try tool(["run", tasks, "--task", "1/1", "-o", folder("q"), "--json"])
    #expect(try again.code == 0 && integer(again.json()["reused_jobs"]) > 0)
    #expect(try contents(folder("q")) == contents(folder("p")))
    let written = try tool(
      ["plan"] + Self.models + ["--detached", "--shared-out", folder("s"), "--tasks", folder("t.json")])
    #expect(written.code == 1 && written.talk.contains("--shared-from"))
  }

  // MARK: Kills

  /// Models with some work to do: so many megabytes of noise.
  private func largeModels() throws -> [String] {
    func model(_ name: String, _ seed: UInt64) throws -> String {
      var random = SeededGenerator(seed: seed)
      try writeModel(
        (0..<10).map { index in
          try tensor(
            "layers.\(index)", .f32, [400, 300], (0..<120_000).map { _ in Double(random.noise()) })
        }, to: folder("\(name).safetensors"))
      return folder("\(name).safetensors")
    }
    return try ["--base", model("base", 1), "--expert", "x=\(model("x", 2))", "--expert", "y=\(model("y", 3))"]
  }

  /// The records that a journal holds whole, by Spec/tasks.md.
  private func recordCount(_ path: String) throws -> Int {
    let bytes = try contents(path)
    var count = 0
    var next = 128
    while next + 64 <= bytes.count {
      next += 64 + Int(bytes[next + 16..<next + 24].reversed().reduce(0) { $0 << 8 | UInt64($1) })
      if next > bytes.count { break }
      count += 1
    }
    return count
  }

  /// Kills the command when its journal has grown by so much, twice: later it may have its output in place, and a journal
  /// still. Returns its last run, and the records that it found.
  ///
  /// A machine so busy that the command ends before it is killed gets another try.
  private func finish(
    _ arguments: [String], to output: String, killingEvery step: UInt64
  ) throws -> (last: Run, finished: Int) {
    for _ in 0..<20 {
      let (kills, last, finished) = try finishOnce(arguments, journal: output + ".resume", killingEvery: step)
      if kills == 2 { return (last, finished) }
      try FileTree.remove(output)
    }
    throw StorageError(.invalidArgument, "was never killed twice")
  }

  private func finishOnce(
    _ arguments: [String], journal: String, killingEvery step: UInt64
  ) throws -> (kills: Int, last: Run, finished: Int) {
    var kills = 0
    var finished = 0
    while true {
      let before = (try? ReadableFile(journal).size) ?? 0
      let child = try Child(toolPath, arguments)
      var hasEnded = false
      while kills == 2 || (try? ReadableFile(journal).size) ?? 0 < before + step {
        if hasExited(child.process) {
          hasEnded = true
          break
        }
        usleep(300)
      }
      if !hasEnded { kill(child.process, SIGKILL) }
      let run = try child.wait()
      if run.code != 128 + SIGKILL { return (kills, run, finished) }
      kills += 1
      finished = try recordCount(journal)
    }
  }

  /// Without waiting, and so that it can be waited for later.
  private func hasExited(_ process: pid_t) -> Bool {
    var info = siginfo_t()
    return waitid(P_PID, id_t(process), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_signo == SIGCHLD
  }

  @Test(arguments: [["--rank", "8"], ["--error", "0.7"], ["--lossless"]])
  func aKilledPackingIsResumed(_ options: [String]) throws {
    let models = try largeModels()
    #expect(try tool(["pack"] + models + options + ["-o", folder("whole.tmpack")]).code == 0)
    let archive = folder("r.tmpack")
    let (last, finished) = try finish(
      ["pack"] + models + options + ["--resume", "-o", archive, "--json"], to: archive, killingEvery: 1_500_000)
    #expect(last.code == 0, "\(last.talk)")
    // Every record that the last kill has left was used, and none was made again.
    #expect(try integer(last.json()["reused_jobs"]) == finished && finished > 5)
    #expect(try contents(archive) == contents(folder("whole.tmpack")))
    // Nothing is left of the kills.
    #expect(folder.names == ["base.safetensors", "r.tmpack", "whole.tmpack", "x.safetensors", "y.safetensors"])
  }

  @Test func aKilledRunIsResumed() throws {
    let models = try largeModels()
    let tasks = folder("tasks.json")
    #expect(try tool(["plan"] + models + ["--rank", "8", "--tasks", tasks]).code == 0)
    #expect(try tool(["run", tasks, "--task", "1/1", "-o", folder("whole.part")]).code == 0)
    let part = folder("r.part")
    let (last, finished) = try finish(
      ["run", tasks, "--task", "1/1", "-o", part, "--json"], to: part, killingEvery: 1_500_000)
    #expect(last.code == 0, "\(last.talk)")
    #expect(try integer(last.json()["reused_jobs"]) == finished && finished > 5)
    #expect(try contents(part) == contents(folder("whole.part")))
  }

  @Test func anInterruptKeepsTheJournal() throws {
    let models = try largeModels()
    let archive = folder("r.tmpack")
    // A machine so busy that the command ends before it is interrupted gets another try.
    var code: Int32 = 0
    for _ in 0..<20 where code == 0 {
      let child = try Child(toolPath, ["pack"] + models + ["--rank", "8", "--resume", "--force", "-o", archive])
      while (try? ReadableFile(archive + ".resume").size) ?? 0 < 500_000, !hasExited(child.process) { usleep(300) }
      kill(child.process, SIGTERM)
      code = try child.wait().code
      if code == 0 { try FileTree.remove(archive) }
    }
    #expect(code == 128 + SIGTERM)
    #expect(folder.names.filter { !$0.hasSuffix(".safetensors") } == ["r.tmpack.resume"])
    #expect(try recordCount(archive + ".resume") > 0)
  }
}
