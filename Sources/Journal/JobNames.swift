import TMPackByteIO
import TMPackTensorKit

/// What people call jobs.
package struct JobNames: Sendable {
  private let paths: [String]
  private let shared: any TensorSource
  private let experts: [(name: String, source: any TensorSource)]

  /// - Parameters:
  ///   - paths: of the files that are digested, in the order of their jobs.
  ///   - shared: the shared model's tensors, in the order of their jobs.
  package init(paths: [String], shared: any TensorSource, experts: [(name: String, source: any TensorSource)]) {
    self.paths = paths
    self.shared = shared
    self.experts = experts
  }

  /// An error of a job's result, with what the result is of.
  package func locating(_ error: StorageError, _ key: JobKey) -> StorageError {
    func name(_ source: any TensorSource) -> String? {
      source.tensors.indices.contains(key.index) ? source.tensors[key.index].name : nil
    }
    switch key.kind {
    case .source:
      return StorageError(error.code, "\(describe(key)): \(error.message)", file: error.file, offset: error.offset)
    case .shared: return error.at(tensor: name(shared))
    case .analysis, .probe, .packing:
      guard experts.indices.contains(key.expert) else { return error }
      return error.at(expert: experts[key.expert].name, tensor: name(experts[key.expert].source))
    }
  }

  package func describe(_ key: JobKey) -> String {
    func tensor(_ source: (any TensorSource)?) -> String {
      guard let source, source.tensors.indices.contains(key.index) else { return "tensor \(key.index)" }
      return "tensor '\(source.tensors[key.index].name)'"
    }
    switch key.kind {
    case .source: return "the digest of \(paths.indices.contains(key.index) ? paths[key.index] : "a file")"
    case .shared: return "the shared model's \(tensor(shared))"
    case .analysis, .probe, .packing:
      guard experts.indices.contains(key.expert) else { return "expert \(key.expert), \(tensor(nil))" }
      return "expert '\(experts[key.expert].name)', \(tensor(experts[key.expert].source))"
    }
  }
}
