import TMPackArchiveFormat
import TMPackByteIO
import TMPackParallel

/// A way to make one model of a base and its experts, one tensor at a time.
///
/// Deterministic: what comes out depends on the inputs and the settings alone, never on the number of threads.
/// `MergingMethodKind.all` lists the methods with their settings and papers.
package protocol MergingMethod: Sendable {
  /// As the archive records it.
  var record: SharedMethod { get }

  /// Whether the experts have any influence.
  var readsExperts: Bool { get }

  /// Whether `prepared` or `merge` decompose matrices.
  var usesLinearAlgebra: Bool { get }

  /// The method once it knows what it needs of the whole model, such as a threshold over all tensors.
  ///
  /// By default the method itself: most look at one tensor only. Called once, before any `merge`.
  func prepared(for sources: MergeSources, pipeline: OrderedPipeline) throws(StorageError) -> any MergingMethod

  /// Writes every element of the merged tensor.
  ///
  /// Called from several threads at once, for different tensors, each of which at least one expert holds.
  func merge(_ group: TensorGroup, into merged: MergedTensor) throws(StorageError)
}

extension MergingMethod {
  package var readsExperts: Bool { true }
  package var usesLinearAlgebra: Bool { false }

  package func prepared(for _: MergeSources, pipeline _: OrderedPipeline) throws(StorageError) -> any MergingMethod {
    self
  }
}
