import TMPackByteIO
import TestSupport
import Testing

/// What `--force` must not do: lose what somebody needs.
@Suite struct OverwritingTests {
  let folder = TemporaryFolder()

  /// - Returns: what the tool says, once it has refused and left everything as it was.
  private func refusal(_ arguments: String..., location: SourceLocation = #_sourceLocation) throws -> String {
    let before = try snapshot()
    let run = try Child(toolPath, arguments + ["--force"]).wait()
    #expect(run.code == 1 || run.code == 4, "\(run.talk)", sourceLocation: location)
    #expect(run.output.isEmpty, sourceLocation: location)
    #expect(try snapshot() == before, sourceLocation: location)
    return run.talk
  }

  /// The bytes of all files.
  private func snapshot() throws -> [String: [UInt8]] {
    var files: [String: [UInt8]] = [:]
    func visit(_ path: String) throws {
      for name in try FileTree.names(in: path) {
        let inner = FileTree.join(path, name)
        if FileTree.kind(of: inner) == .folder { try visit(inner) } else { files[inner] = try contents(inner) }
      }
    }
    try visit(folder(""))
    return files
  }

  @Test func inputsAreNeverReplaced() throws {
    let archive = try zoo(in: folder, "--detached", "--shared", "base", "--rank", "4")
    let (shared, expert) = (folder("shared.safetensors"), folder("expert.safetensors"))
    try put(contents(base), at: shared)
    try put(contents(a66), at: expert)
    try FileTree.makeFolder(folder("model"))
    try put(contents(b44), at: folder("model/model.safetensors"))
    let read = "would replace what is read"
    for output in [shared, expert] {
      #expect(try refusal("pack", "--base", shared, "--expert", "e=\(expert)", "-o", output).contains(read))
      #expect(try refusal("merge", "average", "--base", shared, "--expert", expert, "-o", output).contains(read))
    }
    #expect(
      try refusal(
        "pack", "--base", shared, "--expert", "e=\(expert)", "--detached", "--shared-out", expert, "-o", folder("x")
      ).contains(read))
    // A file of a model, and a folder that holds one.
    for output in ["model/model.safetensors", "model", ""] {
      #expect(
        try refusal("pack", "--base", shared, "--expert", folder("model"), "-o", folder(output)).contains(read))
    }
    try put(
      Array("{merge_method: average, models: [{model: \(expert), statistics: \(shared)}]}".utf8), at: folder("r.pt"))
    for output in [folder("r.pt"), shared] {
      #expect(try refusal("merge", "--recipe", folder("r.pt"), "-o", output).contains(read))
    }
    for output in ["model/model.safetensors", "model", ""] {
      #expect(try refusal("convert", folder("model"), folder(output)).contains(read))
    }
    for output in [archive, shared] {
      let run = ["unpack", archive, "--shared-from", shared, "--expert", "a66", "-o", output]
      #expect(try Child(toolPath, run + ["--force"]).wait().talk.contains(read))
    }
  }

  @Test func statisticsAreNeverReplaced() throws {
    let statistics = folder("fisher.safetensors")
    try put(contents(base), at: statistics)
    let input = ["--base", base, "--expert", "a=\(a66)", "--statistics", "a=\(statistics)", "-o", statistics]
    for command in [["merge", "fisher"], ["pack", "--shared", "fisher"]] {
      let run = try Child(toolPath, command + input + ["--force"]).wait()
      #expect(run.code == 1 && run.talk.contains("would replace what is read"), "\(run.talk)")
    }
    #expect(try contents(statistics) == contents(base))
  }

  /// Who stands in a folder would be left in one that is gone: what to do instead is said, also of an empty one.
  @Test func theCurrentFolderIsNoOutput() throws {
    try FileTree.makeFolder(folder("here"))
    for force in [[], ["--force"]] {
      let run = try self.run(in: folder("here"), ["convert", a66, "."] + force)
      #expect(run.code == 1 && run.talk.contains("name a folder inside it, such as ./model"), "\(run.talk)")
      #expect(try FileTree.names(in: folder("here")).isEmpty)
    }
    #expect(try self.run(in: folder("here"), ["convert", a66, "./model"]).code == 0)
    #expect(try FileTree.names(in: folder("here/model")) == ["model.safetensors"])
  }

  private func run(in place: String, _ arguments: [String]) throws -> Run {
    try Child("/bin/sh", ["-c", "cd \"$0\" && exec \"$@\"", place, toolPath] + arguments).wait()
  }

  @Test func foldersOfOtherThingsAreNeverReplaced() throws {
    let archive = try zoo(in: folder)
    try FileTree.makeFolder(folder("out"))
    try FileTree.makeFolder(folder("out/logs"))
    try put([1], at: folder("out/logs/day"))
    let commands = [
      ["unpack", archive, "--expert", "a66"], ["merge", "average", "--expert", a66, "--expert", b44], ["convert", b44],
    ]
    for command in commands {
      let output = command[0] == "convert" ? [folder("out")] : ["-o", folder("out")]
      let run = try Child(toolPath, command + output + ["--force"]).wait()
      #expect(run.code == 4 || run.code == 1, "\(run.talk)")
      #expect(run.talk.contains("logs/day"), "\(run.talk)")
      #expect(try contents(folder("out/logs/day")) == [1])
      #expect(folder.names == ["out", "zoo.tmpack"])
    }
    // Where the tool itself is.
    for here in [".", ".."] {
      let run = try self.run(
        in: folder("out/logs"), ["merge", "average", "--expert", a66, "--expert", b44, "-o", here, "--force"])
      #expect(run.code == 1, "\(run.talk)")
    }
    #expect(try contents(folder("out/logs/day")) == [1])
  }

  @Test func modelsAreReplacedWhole() throws {
    let archive = try zoo(in: folder)
    let out = folder("out")
    try #require(try tmpack("unpack", archive, "--expert", "a66", "-o", out, "--max-shard-size", "40kB").code == 0)
    #expect(try FileTree.names(in: out).count > 2)
    #expect(try tmpack("unpack", archive, "--expert", "b44", "-o", out, "--force").code == 0)
    #expect(try FileTree.names(in: out) == ["model.safetensors"])
    #expect(try tmpack("compare", out, "\(archive)#b44", "--require-equal").code == 0)
  }
}
