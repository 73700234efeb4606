import ByteIO

/// Runs Python programs, with what they print.
package enum Python {
  /// Whether Python runs `script` without an error.
  ///
  /// - Parameter interpreter: the system's own, where Debian's packages are, may not be the first on the path.
  package static func runs(_ script: String, interpreter: String = "python3") -> Bool {
    run(["-c", script], interpreter: interpreter)?.code == 0
  }

  /// What a run of Python did; nil when there is no Python.
  package static func run(_ arguments: [String], interpreter: String = "python3") -> Run? {
    try? Child(interpreter, arguments).wait()
  }
}
