import TMPackArchiveFormat
import TMPackByteIO
import TMPackParallel

/// LiNeS: what a method changes of the base, times α + β (ℓ − 1) ÷ (L − 1) in block ℓ of L (Wang et al., 2024,
/// arXiv 2410.17146, equation 3).
///
/// Tensors outside of the stacks of blocks have the factor α, as in the authors' code. It is on top of the method's own λ;
/// the paper's λ-free form is λ = 1. `LayerPositions` says what a block is.
package struct LayerScaling: MergingMethod {
  private var method: any MergingMethod
  /// α
  package let first: Double
  /// β: the last block's factor is α + β.
  package let growth: Double
  private var positions: LayerPositions?

  /// - Parameter method: its record has α and β, if they are to be recorded.
  package init(_ method: any MergingMethod, first: Double, growth: Double) {
    self.method = method
    self.first = first
    self.growth = growth
  }

  package var record: SharedMethod { method.record }
  package var readsExperts: Bool { method.readsExperts }

  package func prepared(
    for sources: MergeSources, pipeline: OrderedPipeline
  ) throws(StorageError) -> any MergingMethod {
    var prepared = self
    prepared.method = try method.prepared(for: sources, pipeline: pipeline)
    prepared.positions = sources.layers
    return prepared
  }

  package func merge(_ group: TensorGroup, into merged: MergedTensor) throws(StorageError) {
    guard let positions else { preconditionFailure("prepared first") }
    let depth = positions[group.info.name]?.depth ?? 0
    try method.merge(group, into: merged.scalingTaskVector(by: first + growth * depth))
  }
}

extension MergeSetting {
  /// α and β of `LayerScaling`: by default, every layer as the method has it.
  package static let layerScaling = [
    MergeSetting(
      "lines_alpha", anyNumber, default: "1", "LiNeS: factor of the change in the first block and outside of blocks"),
    MergeSetting("lines_beta", anyNumber, default: "0", "LiNeS: how much greater the factor is in the last block"),
  ]
}
