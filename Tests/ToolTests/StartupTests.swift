#if os(Linux)
  import TestSupport
  import Testing

  /// What happens before `main`.
  @Suite struct StartupTests {
    /// OpenBLAS asks the tool how many threads to start, and not itself: the dynamic linker, told to, says what it binds.
    @Test func keepsOpenBLASFromStartingThreads() throws {
      let run = try tmpack(after: "export LD_DEBUG=bindings", "--version")
      #expect(run.code == 0)
      let bindings = run.talk.split(separator: "\n").filter { $0.hasSuffix("`openblas_num_threads_env'") }
      #expect(!bindings.isEmpty)
      #expect(bindings.allSatisfy { $0.contains(" to \(toolPath) ") }, "\(bindings)")
    }
  }
#endif
