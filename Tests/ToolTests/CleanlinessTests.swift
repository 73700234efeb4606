import TMPackByteIO
import TestSupport
import Testing

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

/// A run that does not succeed leaves everything as it was.
@Suite struct CleanlinessTests {
  let folder = TemporaryFolder()

  @Test func existingOutputsStayWithoutForce() throws {
    let archive = try zoo(in: folder)
    let before = try contents(archive)
    try FileTree.makeFolder(folder("full"))
    try put([1], at: folder("full/file"))
    try put([2], at: folder("x.safetensors"))
    func refuses(_ arguments: String...) throws {
      let run = try Child(toolPath, arguments + ["--json"]).wait()
      #expect(run.code == 1)
      #expect(try run.jsonError()["code"] == "output-exists")
    }
    try refuses("pack", "--base", base, "--expert", "a=\(a66)", "-o", archive)
    try refuses("unpack", archive, "--expert", "a66", "-o", folder("full"))
    try refuses("unpack", archive, "--expert", "a66", "-o", folder("x.safetensors"))
    try refuses("remove", archive, "a66", "-o", folder("x.safetensors"))
    #expect(try contents(archive) == before)
    #expect(folder.names == ["full", "x.safetensors", "zoo.tmpack"])
    #expect(try FileTree.names(in: folder("full")) == ["file"])

    #expect(try tmpack("unpack", archive, "--expert", "a66", "-o", folder("x.safetensors"), "--force").code == 0)
    #expect(try contents(folder("x.safetensors")) != [2])
  }

  @Test func specialFilesAreNeverReplaced() throws {
    let archive = try zoo(in: folder)
    let pipe = folder("pipe")
    try #require(mkfifo(pipe, 0o600) == 0)
    for arguments in [
      ["pack", "--base", base, "--expert", "a=\(a66)", "-o", pipe], ["unpack", archive, "--shared", "-o", pipe],
      ["remove", archive, "a66", "-o", pipe],
    ] {
      let run = try Child(toolPath, arguments + ["--force", "--json"]).wait()
      #expect(run.code == 1)
      #expect(try run.jsonError()["code"] == "output-exists")
      #expect(FileTree.kind(of: pipe) == .other)
    }
  }

  /// As on a full disk: the system takes no more bytes.
  @Test func nothingIsLeftWhenTheDiskTakesNoMore() throws {
    let archive = try zoo(in: folder)
    let before = try contents(archive)
    let limit = "ulimit -f 20"
    for arguments in [
      ["pack", "--base", base, "--expert", "a=\(a66)", "-o", folder("new.tmpack")],
      ["pack", "--base", base, "--expert", "a=\(a66)", "-o", archive, "--force"],
      ["unpack", archive, "--expert", "a66", "-o", folder("out.safetensors")],
      ["unpack", archive, "--expert", "a66", "-o", folder("out")],
      ["remove", archive, "a66"],
      ["add", archive, "--expert", "c07=\(c07)"],
    ] {
      let run = try Child("/bin/sh", ["-c", "\(limit); exec \"$0\" \"$@\"", toolPath] + arguments + ["--json"]).wait()
      #expect(run.code == 4, "\(arguments[0]): \(run.talk)")
      #expect(try run.jsonError()["code"] == "input-output")
      #expect(folder.names == ["zoo.tmpack"], "\(arguments[0])")
    }
    #expect(try contents(archive) == before)
  }

  @Test(arguments: [SIGINT, SIGTERM, SIGHUP]) func nothingIsLeftByAnInterrupt(_ signal: Int32) throws {
    let model = try largeModel()
    let child = try Child(
      toolPath, ["pack", "--base", model, "--expert", "a=\(model)", "-o", folder("new.tmpack"), "--lossless"])
    while !folder.names.contains(where: { $0.hasSuffix(".tmp") }) { usleep(1000) }
    kill(child.process, signal)
    let run = try child.wait()
    #expect(run.code == 128 + signal)
    #expect(run.talk.contains("interrupted"))
    #expect(folder.names == ["large.safetensors"])
  }

  // TMP-2-9, TMP-2-10: nor does anybody else change the archive meanwhile.
  @Test func nothingIsLeftByAnInterruptOfAnAddition() throws {
    let archive = folder("zoo.tmpack")
    let (small, other) = (folder("small.safetensors"), folder("other.safetensors"))
    try writeModel([tensor("a", .f32, [2], [1, 2])], to: small)
    try writeModel([tensor("a", .f32, [2], [3, 4])], to: other)
    #expect(try tmpack("pack", "--base", small, "--expert", "a=\(small)", "-o", archive).code == 0)
    let before = try contents(archive)
    // The first is written while there is work still.
    let child = try Child(
      toolPath, ["add", archive, "--expert", "b=\(other)", "--expert", "large=\(largeModel())", "--lossless"])
    while try contents(archive).count == before.count { usleep(1000) }
    kill(child.process, SIGSTOP)
    for arguments in [["add", archive, "--expert", "c=\(small)"], ["remove", archive, "a"], ["remove", archive]] {
      let run = try Child(toolPath, arguments + ["--json"]).wait()
      #expect(run.code == 4, "\(arguments[0]): \(run.talk)")
      #expect(try run.jsonError()["code"] == "input-output")
    }
    kill(child.process, SIGINT)
    kill(child.process, SIGCONT)
    let run = try child.wait()
    #expect(run.code == 128 + SIGINT)
    #expect(run.talk.contains("interrupted"))
    #expect(try contents(archive) == before)
    #expect(folder.names == ["large.safetensors", "other.safetensors", "small.safetensors", "zoo.tmpack"])
  }

  /// `a`, and zeros that are enough for seconds of work and of no size on the disk.
  private func largeModel() throws -> String {
    let (small, large) = (8, 1_073_741_824)
    let header =
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,\#(small)]},"#
      + #""w":{"dtype":"F32","shape":[16384,16384],"data_offsets":[\#(small),\#(small + large)]}}"#
    let prefix = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) } + Array(header.utf8)
    let model = folder("large.safetensors")
    try put(prefix, at: model)
    try #require(truncate(model, off_t(prefix.count + small + large)) == 0)
    return model
  }
}
