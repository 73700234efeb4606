import TMPackByteIO

/// Runs Python programs, with what they print.
package enum Python {
  /// That of `scripts/install-dependencies tests`, or else the first on the path.
  package static let interpreter: String = {
    let own = FileTree.join(packageRoot, ".build-python/bin/python3")
    return FileTree.kind(of: own) == nil ? "python3" : own
  }()

  /// Whether Python runs `script` without an error.
  package static func runs(_ script: String) -> Bool { run(["-c", script])?.code == 0 }

  /// What a run of Python did; nil when there is no Python.
  package static func run(_ arguments: [String]) -> Run? { try? Child(interpreter, arguments).wait() }
}
