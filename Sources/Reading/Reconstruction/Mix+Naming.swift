import TMPackByteIO
import TMPackCheckpoints
import TMPackModels
import TMPackTensorKit

/// What the tensors of an output are called (`Spec/names.md`).
package enum OutputNaming: String, Sendable, CaseIterable {
  /// As in the checkpoint that the expert came from.
  case source
  case base
  /// As in memory, with the matrices of experts in stacks.
  case transformers5 = "transformers-5"
}

extension Mix {
  package func named(_ naming: OutputNaming) throws(StorageError) -> any TensorSource {
    switch naming {
    case .source: try ownNames.map { record throws(StorageError) in try renamed(by: record) } ?? self
    case .base: self
    case .transformers5: try namedInMemory(by: files.map(\.content))
    }
  }
}

extension TensorSource {
  /// - Parameter files: of the model, of which `config.json` says what it is.
  package func namedInMemory(by files: [CarriedContent]) throws(StorageError) -> any TensorSource {
    let file = files.first { $0.name.text == "config.json" }
    let architecture = ModelArchitecture(configuration: try file?.bytes())
    guard !architecture.names.isEmpty else {
      throw StorageError(
        .invalidArgument, "has no config.json that names its architecture, which the names of transformers 5 go by",
        file: label)
    }
    let named = try inMemory(of: architecture.names)
    try named.checkCodes(asIn: self)
    return named
  }
}
