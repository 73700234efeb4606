import TMPackByteIO
import TMPackJSON
import TestSupport
import Testing

/// What people do every day, and what they type by mistake.
@Suite struct EverydayTests {
  let folder = TemporaryFolder()

  private func names(_ value: JSONValue?) throws -> [String] {
    guard case .array(let list) = value else { return [] }
    return try list.compactMap { if case .string(let name) = try object($0)["name"] { name } else { nil } }
  }

  @Test func severalExpertsFollowOneOption() throws {
    let out = folder("z.tmpack")
    let packed = try tmpack("pack", "--base", base, "--expert", a66, "b=\(b44)", "-o", out, "--rank", "4", "--json")
    #expect(try names(packed.json()["experts"]) == ["HLA-A6601_BA", "b"])
    let added = try tmpack("add", out, "--expert", "c=\(c07)", "d=\(a66)", "--json")
    #expect(try names(added.json()["experts"]) == ["c", "d"])
    let merged = try tmpack("merge", "average", "--expert", a66, b44, "-o", folder("m.safetensors"), "--json")
    #expect(try strings(merged.json()["experts"]) == ["HLA-A6601_BA", "HLA-B4402_BA"])
  }

  /// An archive or a method may stand behind one expert, as it always could.
  @Test func aWordOfTheCommandMayStandBehindAnExpert() throws {
    let archive = try zoo(in: folder)
    #expect(try tmpack("add", "--expert", "c=\(c07)", archive, "--json").code == 0)
    #expect(try tmpack("merge", "--expert", a66, "average", "-o", folder("m.safetensors"), "--json").code == 0)
  }

  /// A list of tasks is made of the same arguments.
  @Test func severalExpertsOfATaskList() throws {
    let (tasks, part, out) = (folder("t.json"), folder("1.part"), folder("z.tmpack"))
    #expect(try tmpack("plan", "--base", base, "--expert", a66, b44, "--tasks", tasks).code == 0)
    #expect(try tmpack("run", tasks, "--task", "1/1", "-o", part).code == 0)
    #expect(try tmpack("join", tasks, part, "-o", out).code == 0)
    #expect(try tmpack("pack", "--base", base, "--expert", a66, b44, "-o", folder("y.tmpack")).code == 0)
    #expect(try contents(out) == contents(folder("y.tmpack")))
  }

  @Test func everyExpertAtOnce() throws {
    let archive = try zoo(in: folder)
    let run = try tmpack("unpack", archive, "--all", "-o", folder("all"), "--json")
    #expect(try names(run.json()["experts"]) == ["a66", "b44"])
    for name in ["a66", "b44"] {
      #expect(
        try tmpack("compare", folder("all/\(name)"), "\(archive)#\(name)", "--require-equal").code == 0)
    }
    let again = try tmpack("unpack", archive, "--all", "-o", folder("all"), "--json")
    #expect(try again.code == 1 && again.jsonError()["code"] == "output-exists")
    #expect(try tmpack("unpack", archive, "--all", "-o", folder("all"), "--force").code == 0)
    #expect(try tmpack("unpack", archive, "--all", "-o", folder("all.safetensors")).code == 1)
    #expect(try tmpack("unpack", archive, "--all", "-o", "-").code == 1)
  }

  @Test(arguments: ["unpack", "convert", "merge"]) func aModelGoesThroughAPipe(_ command: String) throws {
    let archive = try zoo(in: folder)
    let arguments =
      switch command {
      case "unpack": ["unpack", archive, "--expert", "a66", "-o"]
      case "convert": ["convert", a66]
      default: ["merge", "average", "--expert", a66, b44, "-o"]
      }
    let file = folder("out.safetensors")
    #expect(try Child(toolPath, arguments + [file]).wait().code == 0)
    let pipe = folder("pipe.safetensors")
    let words = (arguments + ["-"]).map { "'\($0)'" }.joined(separator: " ")
    let temporary = folder("tmp")
    try FileTree.makeFolder(temporary)
    let run = try Child("/bin/sh", ["-c", "TMPDIR='\(temporary)' '\(toolPath)' \(words) > '\(pipe)'"]).wait()
    #expect(run.code == 0 && run.output.isEmpty && run.talk.contains("7 tensors"), "\(run.talk)")
    #expect(try contents(pipe) == contents(file))
    #expect(try FileTree.names(in: temporary).isEmpty)
  }

  @Test func aPipeThatTakesNothingIsAnError() throws {
    let run = try Child("/bin/sh", ["-c", "'\(toolPath)' convert '\(a66)' - > /dev/full"]).wait()
    #expect(run.code == 4 && run.talk.contains("standard output: cannot write"), "\(run.talk)")
  }

  @Test func whatIsAddedIsPackedAsWhatIsThere() throws {
    let archive = try zoo(in: folder, "--rank", "4", "--exclude", "dense_2*", "--shared", "base")
    let run = try tmpack("add", archive, "--expert", "c07=\(c07)")
    #expect(run.code == 0 && run.talk.contains("packed as the archive's experts: --rank=4 --exclude=dense_2*"))
    let other = folder("other.tmpack")
    #expect(
      try tmpack(
        "pack", "--base", base, "--expert", "c07=\(c07)", "--rank", "4", "--exclude", "dense_2*", "--shared", "base",
        "-o", other
      ).code == 0)
    let selections = ["\(archive)#c07", "\(other)#c07"]
    #expect(try tmpack("compare", selections[0], selections[1], "--require-equal").code == 0)
    // What is given on the command line holds.
    let given = try tmpack("add", archive, "--expert", "d=\(c07)", "--rank", "8", "--include", "*")
    #expect(given.code == 0 && !given.talk.contains("packed as"), "\(given.talk)")
  }

  @Test func anArchiveOfABudgetGivesOneMoreTheMean() throws {
    let archive = try zoo(in: folder, "--budget", "120kB")
    let run = try tmpack("add", archive, "--expert", "c07=\(c07)", "--json")
    guard case .array(let list) = try tmpack("inspect", archive, "--json").json()["experts"] else {
      Issue.record("no experts")
      return
    }
    let sizes = try list.map { expert -> Double in
      guard case .integer(let bytes) = try object(expert)["bytes"] else { return 0 }
      return Double(bytes)
    }
    #expect(run.code == 0 && abs(sizes[2] / ((sizes[0] + sizes[1]) / 2) - 1) < 0.05, "\(sizes)")
  }

  @Test func aDryRunMakesNothing() throws {
    let arguments = ["--base", base, "--expert", "a66=\(a66)", "--json"]
    let dry = try Child(toolPath, ["pack", "--dry-run", "-o", folder("z.tmpack")] + arguments).wait()
    #expect(dry.code == 0 && folder.names.isEmpty)
    #expect(try dry.json()["bytes"] == (try Child(toolPath, ["plan"] + arguments).wait().json()["bytes"]))
  }

  @Test func aSizeWithoutAUnitIsAskedFor() throws {
    let run = try tmpack("pack", "--base", base, "--expert", a66, "--budget", "20", "-o", folder("z.tmpack"))
    #expect(run.code == 1 && run.talk.contains("20MB or 20kB?") && folder.names.isEmpty, "\(run.talk)")
  }

  /// The nearest of those that have anything in common with it, whatever the names and shapes say.
  @Test func theBaseOfAModelIsFound() throws {
    func model(_ name: String, _ seed: UInt64, change: Double) throws -> String {
      let names = (0..<4).map { "layer.\($0).weight" }
      let path = folder("\(name).safetensors")
      try writeModel(
        names.enumerated().map { index, tensorName in
          let values = noise(64 * 64, seed: seed + UInt64(index))
          let moved = noise(64 * 64, seed: 1000 + UInt64(index))
          return try tensor(tensorName, .f32, [64, 64], zip(values, moved).map { $0 + change * $1 })
        }, to: path)
      return path
    }
    let (right, wrong) = (try model("right", 1, change: 0), try model("wrong", 50, change: 0))
    let tuned = try model("tuned", 1, change: 0.02)
    let run = try tmpack("base", tuned, "--of", wrong, right, base, "--json")
    #expect(run.code == 0)
    #expect(try run.json()["base"] == .string(right))
    let none = try tmpack("base", tuned, "--of", wrong, base)
    #expect(none.code == 1 && none.output.contains("was made from none of them"), "\(none.output)")
    #expect(try tmpack("base", tuned, "--of", folder("missing")).code == 4)
  }

  @Test func aNoteOnSeveralExpertsIsSaidOnce() throws {
    let run = try tmpack("plan", "--base", base, "--expert", a66, b44, c07)
    #expect(run.talk.contains("note: HLA-A6601_BA, HLA-B4402_BA, HLA-C0701_BA: 7 of 7 tensors sampled"), "\(run.talk)")
    #expect(run.talk.split(separator: "\n").count { $0.contains("sampled") } == 1)
  }

  /// Each says what it saw, and what to type.
  @Test func whatWasMeantIsSaid() throws {
    let archive = try zoo(in: folder)
    try FileTree.makeFolder(folder("trainer"))
    for step in [90, 500] {
      try FileTree.makeFolder(folder("trainer/checkpoint-\(step)"))
      try put(contents(base), at: folder("trainer/checkpoint-\(step)/model.safetensors"))
    }
    let out = folder("out.safetensors")
    for (arguments, said) in [
      (
        ["unpack", folder("."), "--shared", "-o", out], "is a folder, and an archive is one file; in it are zoo.tmpack"
      ),
      (["unpack", base, "--shared", "-o", out], "is a checkpoint, not a tmpack archive"),
      (["convert", folder("trainer"), out], "name one of them, such as \(folder("trainer"))/checkpoint-500"),
      (["pack", base, a66, "-o", out], "tmpack pack --base \(base) --expert \(a66)"),
      (["unpack", archive, "a66", "-o", out], "tmpack unpack \(archive) --expert a66"),
      (["export", archive, "--expert", "a66", "-o", out], "tmpack export --peft \(archive)#a66"),
      (["merge", base, a66, "-o", out], "tmpack merge average --expert \(base) \(a66)"),
      (["merge", "ties", base, a66, "-o", out], "tmpack merge ties --expert \(base) \(a66)"),
      (["inspect", folder("trainer")], "such as \(folder("trainer"))/checkpoint-500"),
      (["verify", folder(".")], "in it are zoo.tmpack"),
      (["pack"], "tmpack: Missing expected argument"),
    ] {
      let run = try Child(toolPath, arguments).wait()
      #expect(run.code == 1 || run.code == 2, "\(arguments)")
      #expect(run.talk.contains(said), "\(run.talk)")
    }
    let hub = try tmpack("convert", "nobody/nothing", out)
    #expect(hub.code == 4 && hub.talk.contains("hf download nobody/nothing fetches it"), "\(hub.talk)")
    let run = try tmpack("pack", "--base", base, "--expert", a66, "--exclude", "lstm", "-o", folder("x.tmpack"))
    #expect(run.talk.contains("--exclude lstm matches no tensor; '*lstm*' matches 3"), "\(run.talk)")
  }

  @Test func aModelWithoutTensorsIsNone() throws {
    try writeModel([], to: folder("none.safetensors"))
    let none = folder("none.safetensors")
    for arguments in [
      ["pack", "--base", none, "--expert", a66, "-o", folder("z.tmpack")],
      ["pack", "--base", base, "--expert", none, "-o", folder("z.tmpack")],
      ["merge", "average", "--expert", none, base, "-o", folder("m.safetensors")], ["base", none, "--of", base],
    ] {
      let run = try Child(toolPath, arguments).wait()
      #expect(run.code == 1 && run.talk.contains("none.safetensors: holds no tensors"), "\(run.talk)")
    }
    #expect(try tmpack("inspect", none).output.hasPrefix("\(none)  0 tensors, 0 parameters, 0 B\n"))
    #expect(try tmpack("convert", none, folder("c.safetensors")).code == 0)
  }

  /// `--base` and `--shared-from` are one thing to an archive whose shared model is the base.
  @Test func aDetachedArchiveTakesItsBaseByEitherName() throws {
    let archive = try zoo(in: folder, "--shared", "base", "--detached")
    for option in ["--base", "--shared-from"] {
      let out = folder("\(option).safetensors")
      #expect(try tmpack("unpack", archive, "--expert", "a66", option, base, "-o", out).code == 0)
      #expect(try tmpack("compare", out, "\(archive)#a66", option, base, "--require-equal").code == 0)
      #expect(try tmpack("add", archive, "--expert", "c\(option)=\(c07)", option, base).code == 0)
      let verified = try tmpack("verify", archive, option, base)
      #expect(verified.code == 0 && !verified.output.contains("not given"), "\(verified.output)")
      #expect(try tmpack("verify", archive, option, b44).code != 0)
    }
    #expect(try tmpack("verify", archive).output.contains("the detached shared model was not given"))
    // Of another shared model the base says nothing.
    let shared = folder("shared.safetensors")
    let merged = try zoo(in: folder, "--detached", "--shared-out", shared, "--force")
    #expect(try tmpack("add", merged, "--expert", "c07=\(c07)", "--base", base).code == 1)
    #expect(try tmpack("add", merged, "--expert", "c07=\(c07)", "--base", base, "--shared-from", shared).code == 0)
  }

  /// What was measured elsewhere is said to be so; what the user has measured takes its place.
  @Test(arguments: [
    (["--quality", "medium"], "a loss of 56 % kept more than 99 %"),
    (["--error", "0.95"], "a loss of 94 % kept less than 65 %"),
    (["--error", "0.6"], "kept about 93 %"), (["--error", "0.05"], nil), (["--lossless"], nil),
    (["--density", "0.1"], nil),
  ]) func aLossIsPutIntoWords(_ options: [String], _ said: String?) throws {
    let run = try tmpack(["pack", "--base", base, "--expert", "a66=\(a66)", "-o", folder("z.tmpack")] + options)
    #expect(run.code == 0)
    if let said {
      #expect(run.talk.contains(said), "\(run.talk)")
      #expect(run.talk.contains("of the scores of four small fine-tunes (docs/packing.md)"))
    } else {
      #expect(!run.talk.contains("of the scores"), "\(run.talk)")
    }
  }

  /// One expert does not pay for the shared model.
  @Test func anArchiveSaysFromWhereItPays() throws {
    let one = try tmpack("pack", "--base", base, "--expert", a66, "-o", folder("one.tmpack"), "--lossless")
    #expect(one.output.contains("smaller than these from"), "\(one.output)")
    #expect(one.output.contains("or where everybody has the base, with --shared base --detached"))
    let two = try zoo(in: folder)
    #expect(try !tmpack("add", two, "--expert", c07).output.contains("smaller than these"))
  }

  /// Together they are what they are apart.
  @Test(arguments: ["layer", "kind"]) func tensorsAreListedTogether(_ by: String) throws {
    let archive = try zoo(in: folder)
    guard case .array(let experts) = try tmpack("inspect", archive, "--by", by, "--tensors", "--json").json()["experts"]
    else {
      Issue.record("no experts")
      return
    }
    for expert in try experts.map({ try object($0) }) {
      guard case .array(let groups) = expert["groups"], case .array(let tensors) = expert["tensor_list"] else {
        Issue.record("no groups")
        return
      }
      func sum(_ list: [JSONValue], _ name: String) throws -> Double {
        try list.reduce(0) { sum, item in
          switch try object(item)[name] {
          case .integer(let number): sum + Double(number)
          case .number(let number): sum + number
          default: sum
          }
        }
      }
      #expect(try sum(groups, "tensors") == Double(tensors.count))
      #expect(try sum(groups, "raw_bytes") == sum(tensors, "raw_bytes"))
      #expect(try abs(sum(groups, "share_of_loss") - 1) < 1e-9)
      #expect(try abs(sum(tensors, "share_of_loss") - 1) < 1e-9)
      // Of one tensor alone, its own error.
      let names = try groups.map { try object($0) }
      for group in names where group["tensors"] == 1 {
        #expect(
          tensors.contains { tensor in
            guard case .number(let a) = try? object(tensor)["error"], case .number(let b) = group["error"] else {
              return false
            }
            return abs(a - b) < 1e-9
          })
      }
    }
    let text = try tmpack("inspect", archive, "--by", by, "--sort", "error", "--top", "1")
    #expect(text.code == 0 && text.output.contains("of the loss"))
    #expect(try tmpack("inspect", base, "--by", by).code == 1)
  }

  /// The tensor in which most is lost, and what its components hold of it.
  @Test func whyATensorIsBadIsSaid() throws {
    let archive = try zoo(in: folder, "--rank", "4")
    let run = try tmpack("inspect", archive, "--expert", "a66", "--sort", "error")
    #expect(run.output.contains("most is lost in lstm_1.recurrent_kernel"), "\(run.output)")
    #expect(run.output.contains(": 4 of 64 components hold "))
  }

  /// Colours are for people at terminals.
  @Test(arguments: [
    ("", true), ("NO_COLOR=1", false), ("NO_COLOR=", true), ("TERM=dumb", false),
  ]) func coloursOnTerminals(_ setting: String, _ isColoured: Bool) throws {
    let archive = try zoo(in: folder)
    let script = """
      import os, pty, sys
      os.environ.pop("NO_COLOR", None)
      os.environ["TERM"] = "xterm"
      for setting in sys.argv[1].split():
          name, value = setting.split("=")
          os.environ[name] = value
      pty.spawn(sys.argv[2:])
      """
    for arguments in [["inspect", archive], ["inspect", folder("missing")]] {
      let run = try #require(Python.run(["-c", script, setting, toolPath] + arguments))
      #expect(run.output.contains("\u{1B}[") == isColoured, "\(run.output)")
      let plain = try Child(toolPath, arguments).wait()
      #expect(!(plain.output + plain.talk).contains("\u{1B}"))
    }
  }

  /// An earlier model may have had a file where the new one has none.
  @Test func aModelTakesThePlaceOfAnother() throws {
    let archive = try zoo(in: folder)
    let arguments = ["unpack", archive, "--expert", "a66", "-o", folder("out"), "--force"]
    #expect(try Child(toolPath, arguments).wait().code == 0)
    try put(Array("{}".utf8), at: folder("out/generation_config.json"))
    #expect(try Child(toolPath, arguments).wait().code == 0)
    #expect(try FileTree.names(in: folder("out")) == ["model.safetensors"])
    try put(Array("mine".utf8), at: folder("out/notes.txt"))
    let refused = try Child(toolPath, arguments).wait()
    #expect(refused.code == 1 && refused.talk.contains("notes.txt"))
  }
}
