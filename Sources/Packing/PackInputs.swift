import TMPackByteIO
import TMPackCheckpoints
import TMPackJournal
import TMPackModels

/// The models of a packing.
package struct PackInputs: Sendable {
  /// The shared model, or what has its tensors' names and files when it is merged.
  package let shared: Checkpoint
  /// What adapters are for; nil where a shared model is given instead.
  package let base: Checkpoint?
  package let experts: [ExpertInput]

  /// All that is read: an adapter's expert depends on the base, also where the shared model is another.
  package var checkpoints: [Checkpoint] { [shared] + [base].compactMap { $0 } + experts.map(\.checkpoint) }

  /// Those that the sections of the archive are made of.
  var recorded: [Checkpoint] { [shared] + experts.map(\.checkpoint) }

  /// The weight files of those recorded, each once, in the order of their jobs.
  package var recordedFiles: [String] { SourceDigests.paths(of: recorded) }

  /// How far the experts are from what they are said to be made from.
  func changes() throws(StorageError) -> [ModelChange] {
    try experts.map { expert throws(StorageError) in
      try ModelChange(of: expert.checkpoint.source, named: expert.name, against: (base ?? shared).source)
    }
  }

  /// What the output must not replace.
  package var paths: [String] { [shared.path] + [base].compactMap { $0?.path } + experts.flatMap(\.paths) }
}

extension JobNames {
  package init(_ inputs: PackInputs) {
    self.init(
      paths: inputs.recordedFiles, shared: inputs.shared.source,
      experts: inputs.experts.map { ($0.name, $0.checkpoint.source) })
  }
}
