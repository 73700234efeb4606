import TMPackByteIO
import TMPackJSON
import TestSupport
import Testing

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

#if os(Linux)
  /// Single faults of the system, by `Tests/Faults/shim.c`; `make faults` tries all of them.
  @Suite struct FaultTests {
    let folder = TemporaryFolder()

    /// The shim, compiled; nil without a C compiler.
    static let shim: String? = {
      let path = "\(shimFolder.path)/shim.so"
      let arguments = ["-shared", "-fPIC", "-O1", "-o", path, "\(packageRoot)/Tests/Faults/shim.c", "-ldl"]
      return (try? Child("cc", arguments).wait())?.code == 0 ? path : nil
    }()
    private static let shimFolder = TemporaryFolder()

    /// Runs the tool in the folder, with a fault.
    private func tmpack(_ fault: String, _ arguments: [String]) throws -> Run {
      let shim = try #require(Self.shim)
      let setup = "cd '\(folder.path)'; export LD_PRELOAD='\(shim)' FAULT_ROOT='\(folder.path)' \(fault)"
      return try Child("/bin/sh", ["-c", "\(setup); exec \"$0\" \"$@\"", toolPath] + arguments).wait()
    }

    private func unpackForce(_ fault: String) throws -> Run {
      try tmpack(fault, ["unpack", "zoo.tmpack", "--expert", "a66", "-o", "out", "--force"])
    }

    private func makeOld() throws {
      try FileTree.makeFolder(folder("out"))
      try writeModel([tensor("a", .f32, [2], [1, 2])], to: folder("out/model.safetensors"))
    }

    @Test func aFolderThatIsReplacedIsOldOrNewWheneverTheRunIsKilled() throws {
      _ = try zoo(in: folder)
      try makeOld()
      let old = try contents(folder("out/model.safetensors"))
      for kind in ["kill", "killed"] {
        let run = try unpackForce("FAULT_CALL=rename FAULT_AT=2 FAULT_KIND=\(kind)")
        #expect(run.code == 128 + SIGKILL)
        #expect((try contents(folder("out/model.safetensors")) == old) == (kind == "kill"))
        #expect(folder.names.contains { $0.hasSuffix("-tmpack.tmp") })
      }
      let again = try unpackForce("FAULT_CALL=none")
      #expect(again.code == 0)
      #expect(folder.names == ["out", "zoo.tmpack"])
    }

    /// Where the system cannot exchange two folders, the next run brings the old one back.
    @Test func aFolderThatWasSetAsideComesBack() throws {
      _ = try zoo(in: folder)
      try makeOld()
      let old = try contents(folder("out/model.safetensors"))
      let run = try unpackForce("FAULT_NO_EXCHANGE=1 FAULT_CALL=rename FAULT_AT=4 FAULT_KIND=kill")
      #expect(run.code == 128 + SIGKILL)
      #expect(FileTree.kind(of: folder("out")) == nil)
      let report = try ToolTests.tmpack("doctor", "--folder", folder.path, "--json", "--clean").json()
      guard case .array(let leftovers) = report["leftovers"] else { throw StorageError(.malformed, "no leftovers") }
      let resolutions = strings(.array(try leftovers.map { try object($0)["resolution"] ?? .null }))
      #expect(Set(resolutions) == ["removed", "restored"])
      #expect(try contents(folder("out/model.safetensors")) == old)
      #expect(folder.names == ["out", "zoo.tmpack"])
    }

    @Test(arguments: ["sync", "open", "close"]) func nothingAfterTheCommitFailsTheRun(_ call: String) throws {
      _ = try zoo(in: folder)
      let arguments = ["unpack", "zoo.tmpack", "--expert", "a66", "-o", "x.safetensors"]
      // The last sync is the folder's, the last open too.
      var found = false
      for place in 1...40 {
        let run = try tmpack("FAULT_CALL=\(call) FAULT_AT=\(place) FAULT_KIND=5", arguments)
        #expect([0, 4, 6].contains(run.code), "\(run.talk)")
        #expect((run.code == 4) == (FileTree.kind(of: folder("x.safetensors")) == nil), "\(place): \(run.talk)")
        if run.code == 6 {
          #expect(run.talk.contains("x.safetensors: was written, but"))
          found = true
        }
        removeFile(folder("x.safetensors"))
      }
      #expect(found)
    }

    @Test func aFullDiskLeavesNeitherOfTwoOutputs() throws {
      for place in 1...40 {
        let run = try tmpack(
          "FAULT_CALL=write FAULT_AT=\(place) FAULT_KIND=28",
          [
            "pack", "--base", base, "--expert", "a=\(a66)", "--detached", "--shared-out", "s.safetensors", "-o",
            "x.tmpack", "--rank", "2",
          ])
        #expect([0, 4].contains(run.code), "\(run.talk)")
        #expect(folder.names == (run.code == 0 ? ["s.safetensors", "x.tmpack"] : []))
        if run.code == 0 { break }
        #expect(run.talk.contains("No space left"))
      }
      #expect(folder.names.count == 2)
    }

    @Test func aMappedInputThatIsCutOffIsAnError() throws {
      let archive = try zoo(in: folder)
      let arguments = ["unpack", archive, "--expert", "a66", "-o", "x.safetensors", "--io", "mmap", "--json"]
      let run = try tmpack("FAULT_CALL=map FAULT_AT=1 FAULT_KIND=cut", arguments)
      #expect(run.code == 4, "\(run.talk)")
      #expect(try run.jsonError()["code"] == "input-output")
      #expect(try run.jsonError()["file"] == .string(archive))
      #expect(folder.names == ["zoo.tmpack"])

      // Later, when the output has been begun: what is mapped then is the second one of these.
      for name in ["base", "expert"] { try put(contents(name == "base" ? base : a66), at: folder(name)) }
      for (place, file) in [(1, "base"), (2, "expert")] {
        let packed = try tmpack(
          "FAULT_CALL=map FAULT_AT=\(place) FAULT_KIND=cut",
          ["pack", "--base", "base", "--expert", "a=expert", "--lossless", "-o", "y.tmpack", "--io", "mmap"])
        #expect(packed.code == 4 || packed.code == 2, "\(packed.talk)")
        #expect(packed.talk.contains(file))
        #expect(folder.names == ["base", "expert", "zoo.tmpack"])
        try put(contents(base), at: folder("base"))
      }
    }

    @Test(arguments: ["open", "read", "sync", "truncate", "lock", "close"])
    func interruptedCallsAreMadeAgain(_ call: String) throws {
      _ = try zoo(in: folder)
      let before = try contents(folder("zoo.tmpack"))
      let arguments = ["add", "zoo.tmpack", "--expert", "c07=\(c07)", "--rank", "2"]
      #expect(try tmpack("FAULT_CALL=none", arguments).code == 0)
      let expected = try contents(folder("zoo.tmpack"))
      for place in 1...12 {
        try put(before, at: folder("zoo.tmpack"))
        let run = try tmpack("FAULT_CALL=\(call) FAULT_AT=\(place) FAULT_KIND=\(EINTR)", arguments)
        #expect(run.code == 0, "\(place): \(run.talk)")
        #expect(try contents(folder("zoo.tmpack")) == expected)
      }
    }

    /// The slot's write fails, and what was appended is cut off again.
    @Test func aFailingSwitchOverLeavesNothing() throws {
      _ = try zoo(in: folder)
      let before = try contents(folder("zoo.tmpack"))
      var isSound = false
      for place in 1...60 where !isSound {
        let run = try tmpack(
          "FAULT_CALL=write FAULT_AT=\(place) FAULT_KIND=5",
          ["add", "zoo.tmpack", "--expert", "c07=\(c07)", "--rank", "2"])
        isSound = run.code == 0
        if !isSound {
          #expect(run.code == 4)
          #expect(try contents(folder("zoo.tmpack")) == before, "write \(place)")
        }
      }
      #expect(isSound)
    }

    /// Runs the tool until it stops at a call, has something done, and lets it go on.
    private func stopped(
      at fault: String, _ arguments: [String], _ body: () throws -> Void
    ) throws -> Run? {
      let shim = try #require(Self.shim)
      let setup =
        "cd '\(folder.path)'; export LD_PRELOAD='\(shim)' FAULT_ROOT='\(folder.path)' FAULT_KIND=stop \(fault)"
      let child = try Child("/bin/sh", ["-c", "\(setup); exec \"$0\" \"$@\"", toolPath] + arguments)
      while true {
        let state = String(decoding: (try? Self.text("/proc/\(child.process)/stat")) ?? [], as: UTF8.self)
        let letter = state.split(separator: ")").last?.split(separator: " ").first
        if letter == "T" { break }
        if letter == "Z" || letter == nil { return nil }
        usleep(500)
      }
      // Also when `body` throws.
      defer { kill(child.process, SIGCONT) }
      try body()
      kill(child.process, SIGCONT)
      return try child.wait()
    }

    private static func text(_ path: String) throws -> [UInt8] {
      let descriptor = open(path, O_RDONLY)
      defer { close(descriptor) }
      var buffer = [UInt8](repeating: 0, count: 4096)
      let count = read(descriptor, &buffer, buffer.count)
      return Array(buffer.prefix(max(0, count)))
    }

    /// As on a file system without hard links, and a system that cannot rename without replacing.
    @Test(arguments: ["", "FAULT_NO_EXCHANGE=1", "FAULT_NO_EXCHANGE=1 FAULT_NO_LINK=1", "FAULT_NO_LINK=1"])
    func whatAppearsMeanwhileStays(_ system: String) throws {
      _ = try zoo(in: folder)
      let run = try stopped(
        at: "FAULT_CALL=sync FAULT_AT=1 \(system)", ["unpack", "zoo.tmpack", "--expert", "a66", "-o", "x.safetensors"]
      ) { try put([1, 2, 3], at: folder("x.safetensors")) }
      #expect(run?.code == 1, "\(run?.talk ?? "")")
      #expect(try contents(folder("x.safetensors")) == [1, 2, 3])
      #expect(folder.names == ["x.safetensors", "zoo.tmpack"])
    }

    @Test(arguments: ["expert", "base"]) func sourcesThatChangeMeanwhileAreAnError(_ which: String) throws {
      try put(contents(a66), at: folder("expert"))
      try put(contents(base), at: folder("base"))
      for options in [["--lossless"], ["--rank", "2", "--detached", "--shared", "base"]] {
        let arguments = ["pack", "--base", "base", "--expert", "a=expert", "-o", "x.tmpack", "--json"] + options
        let run = try #require(
          try stopped(at: "FAULT_CALL=sync FAULT_AT=1", arguments) {
            let bytes = try contents(folder(which))
            overwriteFile(folder(which), at: bytes.count - 4, with: [1, 2, 3, 4])
          })
        removeFile(folder("x.tmpack"))
        #expect([0, 4].contains(run.code))
        // The last look is right before the sync.
        if run.code == 0 { continue }
        #expect(try run.jsonError()["file"] == .string(which))
      }
      let arguments = ["pack", "--base", "base", "--expert", "a=expert", "-o", "y.tmpack"]
      let early = try #require(
        try stopped(at: "FAULT_CALL=write FAULT_AT=1", arguments) {
          let bytes = try contents(folder(which))
          overwriteFile(folder(which), at: bytes.count - 4, with: [4, 3, 2, 1])
        })
      #expect(early.code == 4 && early.talk.contains("changed while it was read"), "\(early.talk)")
      #expect(!folder.names.contains { $0.contains("y.tmpack") })
      let converted = try #require(
        try stopped(at: "FAULT_CALL=write FAULT_AT=1", ["convert", which, "z.npz"]) {
          let bytes = try contents(folder(which))
          overwriteFile(folder(which), at: bytes.count - 4, with: [1, 3, 2, 1])
        })
      #expect(converted.code == 4 && converted.talk.contains("changed while it was read"), "\(converted.talk)")
    }

    // TMP-2-11
    @Test func aReaderBesideAWriterReadsOneOfTwoGenerations() throws {
      _ = try zoo(in: folder)
      let before = try contents(folder("zoo.tmpack"))
      var places = 0
      for call in ["write", "truncate", "sync"] {
        for place in 1...100 {
          try put(before, at: folder("zoo.tmpack"))
          let run = try stopped(
            at: "FAULT_CALL=\(call) FAULT_AT=\(place)", ["add", "zoo.tmpack", "--expert", "c07=\(c07)", "--rank", "2"]
          ) {
            let verified = try ToolTests.tmpack("verify", folder("zoo.tmpack"))
            #expect(verified.code == 0, "\(call) \(place): \(verified.talk)")
            #expect(!verified.talk.contains("interrupted append"))
            #expect(try ToolTests.tmpack("inspect", folder("zoo.tmpack")).code == 0)
            places += 1
          }
          guard let run else { break }
          #expect(run.code == 0, "\(run.talk)")
        }
      }
      #expect(places > 5)
    }

    /// Of a run that was killed, the traces are found again.
    @Test func whatAKilledAdditionLeavesIsResidue() throws {
      _ = try zoo(in: folder)
      let run = try tmpack(
        "FAULT_CALL=sync FAULT_AT=1 FAULT_KIND=kill", ["add", "zoo.tmpack", "--expert", "c07=\(c07)", "--rank", "2"])
      #expect(run.code == 128 + SIGKILL)
      let verified = try ToolTests.tmpack("verify", folder("zoo.tmpack"))
      #expect(verified.code == 2 && verified.talk.contains("interrupted append"))
    }

    @Test func aFailingStatSaysSo() throws {
      _ = try zoo(in: folder)
      var said: Set<String> = []
      for place in 1...12 {
        let run = try tmpack(
          "FAULT_CALL=stat FAULT_AT=\(place) FAULT_KIND=5",
          ["add", "zoo.tmpack", "--expert", "c\(place)=\(c07)", "--rank", "2"])
        #expect(!run.talk.contains("not a regular file"))
        if run.code == 4 { said.insert(run.talk) }
      }
      #expect(said.contains { $0.contains("cannot examine") })
    }
  }
#endif
