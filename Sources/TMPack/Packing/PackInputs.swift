import Checkpoints

/// The models of a packing.
struct PackInputs: Sendable {
  /// The shared model, or what has its tensors' names and files when it is merged.
  let shared: Checkpoint
  /// What adapters are for; nil where a shared model is given instead.
  let base: Checkpoint?
  let experts: [ExpertInput]

  /// All that is read: an adapter's expert depends on the base, also where the shared model is another.
  var checkpoints: [Checkpoint] { [shared] + [base].compactMap { $0 } + experts.map(\.checkpoint) }

  /// Those that the sections of the archive are made of.
  var recorded: [Checkpoint] { [shared] + experts.map(\.checkpoint) }

  /// The weight files of those recorded, each once, in the order of their jobs.
  var recordedFiles: [String] { SourceDigests.paths(of: recorded) }

  /// What the output must not replace.
  var paths: [String] { [shared.path] + [base].compactMap { $0?.path } + experts.flatMap(\.paths) }
}
