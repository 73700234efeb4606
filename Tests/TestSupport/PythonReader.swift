import TMPackByteIO

/// The reader of `Spec/reader`, which was written from the specification alone.
package enum PythonReader {
  package static let isAvailable = Python.runs("import zstandard, numpy")

  /// A mix to be made on both sides.
  package struct Job: Sendable {
    package let archive: String
    package var base = ""
    package var weights = ""
    /// `verify` for a verification instead, `exact` for the expert to the bit.
    package var dtype = ""

    package init(archive: String, base: String = "", weights: String = "", dtype: String = "") {
      self.archive = archive
      self.base = base
      self.weights = weights
      self.dtype = dtype
    }
  }

  package static let folder = FileTree.join(packageRoot, "Spec/reader")

  /// What the reader makes of the jobs, in one process: for each the digests, or a line `fault: …`.
  ///
  /// - Throws: `invalidArgument`, with what Python says, unless it answers every job.
  package static func run(_ jobs: [Job]) throws -> [[String]] {
    let room = TemporaryFolder()
    let list = jobs.map { "\($0.archive)\t\($0.base)\t\($0.weights)\t\($0.dtype)\n" }.joined()
    try put(Array(list.utf8), at: room("jobs"))
    let script = """
      import contextlib, io, sys
      sys.dont_write_bytecode = True
      sys.path.insert(0, "\(folder)")
      import tmpack_reader
      for line in open("\(room("jobs"))", encoding="utf-8"):
          archive, base, weights, dtype = line.rstrip("\\n").split("\\t")
          options = ["--shared-from", base] * bool(base)
          command = ["verify"] if dtype == "verify" else ["unpack", "--weights=" + weights]
          options += ["--dtype", dtype] * (dtype not in ("", "verify", "exact")) + ["--exact"] * (dtype == "exact")
          sys.argv = ["tmpack_reader", archive] + command + options
          out = io.StringIO()
          out.reconfigure = lambda **_: None
          err = io.StringIO()
          err.reconfigure = lambda **_: None
          code = 0
          with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
              try:
                  tmpack_reader.main()
              except SystemExit as stop:
                  code = stop.code
          text = out.getvalue() if code == 0 else ("fault: " + (err.getvalue() or out.getvalue())).replace("\\n", " ")
          sys.stdout.write(text.rstrip("\\n") + "\\n\\x00\\n")
      """
    guard let result = Python.run(["-c", script]) else { throw StorageError(.notFound, "there is no Python") }
    // Every answer ends so, an empty one too.
    let answers = result.output.split(separator: "\0\n", omittingEmptySubsequences: false).dropLast()
    guard result.code == 0, answers.count == jobs.count else {
      throw StorageError(
        .invalidArgument,
        "the reader answers \(answers.count) of \(jobs.count) jobs, with exit code \(result.code): \(result.talk)")
    }
    return answers.map { $0.split(separator: "\n").map(String.init) }
  }
}
