import ArgumentParser
import TMPackByteIO
import TMPackMerging
import TMPackReading

/// What shells are offered where a file's name would not do.
enum Completing {
  /// Experts of the archive that is named before.
  static let experts = CompletionKind.custom { arguments, _, _ in
    for argument in arguments where !argument.hasPrefix("-") && FileTree.kind(of: argument) == .file {
      if let archive = try? Archive(argument) { return archive.experts.map(\.name) }
    }
    return []
  }

  static let methods = CompletionKind.list(MergingMethodKind.all.map(\.name))
}
