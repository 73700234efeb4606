import TMPackByteIO
import TMPackJSON
import TestSupport
import Testing

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

/// Who has made a model, and whether it is the same.
@Suite struct TrustTests {
  let folder = TemporaryFolder()

  /// Writes a key pair that OpenSSL or OpenSSH makes; nil where there is none.
  private func makeKey(_ name: String) throws -> Bool {
    let run = try? Child("openssl", ["genpkey", "-algorithm", "ed25519", "-out", folder(name + ".pem")]).wait()
    guard run?.code == 0 else { return false }
    return try Child("openssl", ["pkey", "-in", folder(name + ".pem"), "-pubout", "-out", folder(name + ".pub")]).wait()
      .code == 0
  }

  private func verify(_ path: String, _ options: String...) throws -> Run {
    try Child(toolPath, ["verify", path, "--json"] + options).wait()
  }

  /// Whether a key has signed what the file is now, by the tool and, where it runs, by the reader of `Spec/reader`.
  private func isSigned(_ path: String, by key: String, expert: String? = nil) throws -> Bool {
    let run = try Child(
      toolPath, ["verify", path, "--signer", folder(key)] + (expert.map { ["--signed-expert", $0] } ?? [])
    ).wait()
    try expectSecondReader(
      ["signed", path, path + ".sig", folder(key)] + (expert.map { ["--expert", $0] } ?? []), toSay: run.code == 0)
    #expect([0, 2].contains(run.code), "\(run.talk)")
    return run.code == 0
  }

  private func isEqual(_ path: String, to digests: String) throws -> Bool {
    let run = try verify(path, "--against", digests)
    if path.hasSuffix(".safetensors") {
      try expectSecondReader(["digests", path, digests], toSay: run.code == 0)
    }
    #expect([0, 2].contains(run.code), "\(run.talk)")
    return run.code == 0
  }

  private func expectSecondReader(_ arguments: [String], toSay isGood: Bool) throws {
    guard PythonReader.isAvailable else { return }
    let reader = FileTree.join(PythonReader.folder, "tmpack_identity.py")
    let run = try #require(Python.run(["-B", reader] + arguments))
    #expect((run.code == 0) == isGood, "\(arguments): \(run.talk)")
  }

  // TMP-12-1, TMP-12-2, TMP-12-3, TMP-12-4, TMP-12-5, TMP-12-6
  @Test func archivesAreSigned() throws {
    try #require(try makeKey("one") && makeKey("two"))
    let archive = try zoo(in: folder)
    let unsigned = try verify(archive, "--signer", folder("one.pub"))
    #expect(unsigned.code == 2)
    #expect(try unsigned.jsonError()["code"] == "signature-mismatch")

    #expect(try tmpack("sign", archive, "--key", folder("one.pem")).code == 0)
    #expect(try isSigned(archive, by: "one.pub"))
    #expect(try !isSigned(archive, by: "two.pub"))
    #expect(try tmpack("sign", archive, "--key", folder("two.pem")).code == 0)
    #expect(try tmpack("sign", archive, "--key", folder("two.pem")).output.contains("2 signatures"))
    #expect(try verify(archive, "--signer", folder("one.pub"), "--signer", folder("two.pub")).code == 0)
    #expect(try tmpack("sign", archive, "--key", folder("one.pem"), "--expert", "b44").code == 0)

    // What is added has no signature; the expert's stays good.
    #expect(try tmpack("add", archive, "--expert", "c07=\(c07)", "--rank", "2").code == 0)
    let grown = try verify(archive, "--signer", folder("one.pub"))
    #expect(grown.code == 2)
    #expect(grown.talk.contains("has signed generation 1"))
    #expect(try isSigned(archive, by: "one.pub", expert: "b44"))
    #expect(try !isSigned(archive, by: "one.pub", expert: "a66"))
    #expect(try !isSigned(archive, by: "two.pub", expert: "b44"))
    #expect(try verify(archive, "--signer", folder("one.pem")).code == 1)
    #expect(folder.names == ["one.pem", "one.pub", "two.pem", "two.pub", "zoo.tmpack", "zoo.tmpack.sig"])
  }

  // TMP-12-5: every byte of a signature counts.
  @Test func forgedSignaturesAreRefused() throws {
    try #require(try makeKey("one") && makeKey("two"))
    let archive = try zoo(in: folder)
    #expect(try tmpack("sign", archive, "--key", folder("one.pem")).code == 0)
    let text = String(decoding: try contents(archive + ".sig"), as: UTF8.self)
    func refuses(_ forged: String) throws {
      #expect(forged != text)
      try put(Array(forged.utf8), at: archive + ".sig")
      #expect(try !isSigned(archive, by: "one.pub"))
    }
    try refuses(text.replacing("\"generation\": 1", with: "\"generation\": 2"))
    let signature = try #require(text.split(separator: "\"signature\": \"").last?.prefix(86))
    for place in [0, 40, 85] {
      var other = Array(signature.utf8)
      other[place] = other[place] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
      try refuses(text.replacing(String(signature), with: String(decoding: other, as: UTF8.self)))
    }
    // Another's signature under one's own name.
    try put(Array(text.utf8), at: archive + ".sig")
    #expect(try tmpack("sign", archive, "--key", folder("two.pem"), "--signatures", folder("two.sig")).code == 0)
    let other = String(decoding: try contents(folder("two.sig")), as: UTF8.self)
    func key(_ text: String) -> String { String(text.split(separator: "\"key\": \"")[1].prefix(44)) }
    try refuses(other.replacing(key(other), with: key(text)))
  }

  // TMP-12-6
  @Test func keysOfOpenSSH() throws {
    let made = try? Child("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", folder("id"), "-C", "me"]).wait()
    guard made?.code == 0 else { return }
    let archive = try zoo(in: folder)
    #expect(try tmpack("sign", archive, "--key", folder("id")).code == 0)
    #expect(try isSigned(archive, by: "id.pub"))
    #expect(try Child("ssh-keygen", ["-q", "-t", "ed25519", "-N", "secret", "-f", folder("locked")]).wait().code == 0)
    let locked = try tmpack("sign", archive, "--key", folder("locked"), "--json")
    #expect(locked.code == 3 && locked.talk.contains("passphrase"))
  }

  @Test func expectationsOfAnArchive() throws {
    let archive = try zoo(in: folder)
    let root = try #require(strings(.array([try verify(archive).json()["root_digest"] ?? .null])).first)
    #expect(try verify(archive, "--expect-root", root, "--min-generation", "1").code == 0)
    let other = String(root.reversed())
    #expect(try verify(archive, "--expect-root", other).code == 2)
    #expect(try verify(archive, "--min-generation", "2").code == 2)
    #expect(try verify(archive, "--expect-root", "abc").code == 1)
  }

  // TMP-13-1, TMP-13-2, TMP-13-3
  @Test func copiesOfACheckpointProveEqual() throws {
    let digests = folder("a66.json")
    #expect(try tmpack("digest", a66, "-o", digests).code == 0)
    let text = try contents(digests)
    // In other formats, in shards, in a folder.
    for arguments in [
      ["convert", a66, folder("a.npz")], ["convert", a66, folder("a.pt")],
      ["convert", a66, folder("a"), "--max-shard-size", "20kB"],
    ] {
      #expect(try Child(toolPath, arguments).wait().code == 0)
      let copy = arguments[2]
      let run = try verify(copy, "--against", digests)
      #expect(run.code == 0, "\(run.output)\(run.talk)")
      #expect(try tmpack("digest", copy, "--json").json()["tensors_digest"] == run.json()["tensors_digest"])
    }
    #expect(try tmpack("digest", a66, "-o", digests, "--force").code == 0)
    #expect(try contents(digests) == text)
    #expect(try isEqual(a66, to: digests) && !isEqual(b44, to: digests))
    // An edited list.
    let edited = String(decoding: text, as: UTF8.self).replacing("F32", with: "F64")
    try put(Array(edited.utf8), at: folder("edited"))
    #expect(try !isEqual(a66, to: folder("edited")))
    let run = try verify(a66, "--against", folder("edited"))
    #expect(run.code == 2)
    #expect(try run.jsonError()["code"] == "digest-mismatch")
  }

  // TMP-13-3
  @Test func theTensorAndTheFileAtFaultAreNamed() throws {
    func model(_ values: [Double], _ shape: [Int], _ name: String) throws {
      try writeModel([tensor("a", .f32, [2], [1, 2]), tensor(name, .f32, shape, values)], to: folder("m"))
    }
    try model([1, 2, 3, 4], [2, 2], "b")
    #expect(try tmpack("digest", folder("m"), "-o", folder("d")).code == 0)
    for (values, shape, name, tensors) in [
      ([1, 2, 3, 5], [2, 2], "b", ["b"]), ([1, 2, 3, 4], [4], "b", ["b"]), ([1, 2, 3, 4], [2, 2], "c", ["b", "c"]),
    ] {
      try model(values.map(Double.init), shape, name)
      let run = try verify(folder("m"), "--against", folder("d"))
      #expect(run.code == 2)
      guard case .array(let faults) = try run.json()["faults"] else { throw StorageError(.malformed, "no faults") }
      #expect(strings(.array(try faults.map { try object($0)["tensor"] ?? .null })).sorted() == tensors)
      if tensors == ["b"] { #expect(try object(faults[0])["file"] == .string(folder("m/model.safetensors"))) }
    }
  }

  @Test func numbersThatLookWrongAreCounted() throws {
    try writeModel(
      [
        tensor("nan", .f32, [3], [1, .nan, .infinity]), tensor("zero", .f32, [3], [0, -0.0, 0]),
        tensor("sound", .f32, [2], [1, 0]), tensor("one", .f32, [1], [0]),
      ], to: folder("m"))
    let run = try tmpack("verify", folder("m"), "--finite", "--json")
    #expect(run.code == 0)
    #expect(
      try run.json()["warnings"] == [
        ["tensor": "nan", "nan": 1, "infinite": 1, "all_zero": false],
        ["tensor": "zero", "nan": 0, "infinite": 0, "all_zero": true],
      ])
  }

  @Test func checkpointsAreSignedAndInspected() throws {
    try #require(try makeKey("one"))
    try put(contents(a66), at: folder("m.safetensors"))
    #expect(try tmpack("sign", folder("m.safetensors"), "--key", folder("one.pem")).code == 0)
    #expect(try isSigned(folder("m.safetensors"), by: "one.pub"))
    #expect(try tmpack("convert", folder("m.safetensors"), folder("m.npz")).code == 0)
    let copy = try verify(
      folder("m.npz"), "--signer", folder("one.pub"), "--signatures", folder("m.safetensors.sig"))
    #expect(copy.code == 0, "\(copy.talk)")
    try put(contents(b44), at: folder("m.safetensors"))
    #expect(try !isSigned(folder("m.safetensors"), by: "one.pub"))
    let inspected = try tmpack("inspect", folder("m.safetensors"), "--json", "--tensors").json()
    guard case .array(let list) = inspected["tensor_list"] else { throw StorageError(.malformed, "no list") }
    #expect(inspected["tensors"] == JSONValue(list.count))
  }
}

/// What the system may refuse.
@Suite struct ResourceTests {
  let folder = TemporaryFolder()

  /// Of a number of bytes that takes no room on the disk.
  private func sparse(_ name: String, side: Int) throws -> String {
    let count = 4 * side * side
    let header = #"{"w":{"dtype":"F32","shape":[\#(side),\#(side)],"data_offsets":[0,\#(count)]}}"#
    let prefix = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) } + Array(header.utf8)
    try put(prefix, at: folder(name))
    try #require(truncate(folder(name), off_t(prefix.count + count)) == 0)
    return folder(name)
  }

  /// 4 TB, more than there is.
  @Test func memoryThatCannotBeHad() throws {
    let model = try sparse("large.safetensors", side: 1_000_000)
    let other = try sparse("other.safetensors", side: 1_000_000)
    let run = try tmpack(
      "merge", "task-arithmetic", "--base", model, "--expert", "a=\(other)", "-o", folder("m.safetensors"), "--json",
      "--io", "read")
    #expect(run.code == 4, "\(run.talk)")
    #expect(try run.jsonError()["code"] == "out-of-memory")
    #expect(try run.jsonError()["tensor"] == "w")
    #expect(folder.names == ["large.safetensors", "other.safetensors"])
  }

  #if os(Linux)
    @Test func fewDescriptors() throws {
      let archive = try zoo(in: folder)
      #expect(try tmpack(after: "ulimit -n 4", "inspect", archive).code == 0)
      let run = try tmpack(
        after: "ulimit -n 4", "pack", "--base", base, "--expert", "a=\(a66)", "-o", folder("x.tmpack"), "--json")
      #expect(run.code == 4, "\(run.talk)")
      #expect(try run.jsonError()["code"] == "input-output")
    }

    @Test(arguments: 4...14) func everyNumberOfDescriptorsIsEnoughOrAnError(_ count: Int) throws {
      let run = try tmpack(
        after: "ulimit -n \(count)", "pack", "--base", base, "--expert", "a=\(a66)", "--rank", "2", "-o",
        folder("x.tmpack"), "--json")
      #expect([0, 4].contains(run.code), "\(run.talk)")
      #expect(folder.names == (run.code == 0 ? ["x.tmpack"] : []))
    }

    /// OpenBLAS asks for its buffers, of 128 MiB, again and again; libraries alone take 100 MB.
    @Test(arguments: [140_000, 200_000, 350_000, 1_000_000, 4_000_000])
    func littleAddressSpaceIsEnoughOrAnError(_ kibibytes: Int) throws {
      let run = try tmpack(
        after: "ulimit -v \(kibibytes)", "pack", "--base", base, "--expert", "a=\(a66)", "--rank", "2", "--threads",
        "2",
        "-o", folder("x.tmpack"), "--json")
      #expect([0, 4].contains(run.code), "\(run.talk)")
      if kibibytes < 250_000 { #expect(try run.jsonError()["code"] == "out-of-memory") }
      if kibibytes >= 1_000_000 { #expect(run.code == 0, "\(run.talk)") }
      #expect(folder.names == (run.code == 0 ? ["x.tmpack"] : []))
    }

    @Test func whatIsKeptExactlyNeedsNoLinearAlgebra() throws {
      let run = try tmpack(
        after: "ulimit -v 250000", "pack", "--base", base, "--expert", "a=\(a66)", "--lossless", "--threads", "2", "-o",
        folder("x.tmpack"))
      #expect(run.code == 0, "\(run.talk)")
    }
  #endif

  @Test func aRecipeComesFromAPipe() throws {
    try put(
      Array("merge_method: linear\nmodels:\n  - model: \(a66)\n  - model: \(b44)\n".utf8), at: folder("r.yaml"))
    let run = try Child(
      "/bin/bash",
      ["-c", "exec \"$0\" merge --recipe <(cat '\(folder("r.yaml"))') -o '\(folder("m.safetensors"))'", toolPath]
    ).wait()
    #expect(run.code == 0, "\(run.talk)")
    #expect(try tmpack("merge", "--recipe", folder("r.yaml"), "-o", folder("n.safetensors")).code == 0)
    #expect(try contents(folder("m.safetensors")) == contents(folder("n.safetensors")))
  }

  @Test func aFullStandardOutputIsNoFailureOfWhatWasWritten() throws {
    guard FileTree.kind(of: "/dev/full") == .other else { return }
    let archive = try zoo(in: folder)
    let command = "\"$0\" unpack '\(archive)' --expert a66 -o '\(folder("x.safetensors"))' > /dev/full"
    let run = try Child("/bin/sh", ["-c", command, toolPath]).wait()
    #expect(run.code == 6 && run.talk.contains("was written, but"), "\(run.talk)")
    #expect(FileTree.kind(of: folder("x.safetensors")) == .file)
    // Where nothing is written, nothing has succeeded.
    #expect(try Child("/bin/sh", ["-c", "\"$0\" inspect '\(archive)' > /dev/full", toolPath]).wait().code == 4)
  }
}
