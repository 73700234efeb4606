import TMPackByteIO
import TMPackModels
import TMPackTensorKit

extension MergeSources {
  /// The same models with numbers that can be added up in every tensor that a merged model may need them of.
  ///
  /// - Throws: `unsupportedFeature` for a tensor of floats that nothing here computes with, and that is not the same in all
  ///   models.
  package func widened() throws(StorageError) -> MergeSources {
    for expert in experts {
      try WidenedSource.refuseUnknown(expert.source, named: expert.name, against: base, purpose: "merged")
    }
    guard WidenedSource.isNeeded(for: base) else { return self }
    return MergeSources(
      base: try WidenedSource(base),
      experts: try experts.map { expert throws(StorageError) in
        Expert(name: expert.name, source: try WidenedSource(expert.source), statistics: expert.statistics)
      })
  }
}
