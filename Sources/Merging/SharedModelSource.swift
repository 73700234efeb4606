import TMPackByteIO
import TMPackFactorization
import TMPackParallel
import TMPackTensorKit

/// A merged model as it is computed: one tensor at a time, when it is read.
///
/// Sums are kept in binary64 and rounded once to the base's dtype. Experts that lack a tensor, or have it in another
/// dtype or shape, are left out for it; tensors that are not of a float dtype are the base's, and so is a tensor with
/// infinities or NaN that all have alike, such as a mask. A zero where the base has one has the base's sign.
/// Memory while reading one tensor: what the method needs for it.
package struct SharedModelSource: TensorSource {
  package let sources: MergeSources
  package let method: any MergingMethod

  /// - Parameter pipeline: for what the method must know before the first tensor is read.
  /// - Throws: `unsupportedFeature` for models that keep weights as codes; `outOfMemory`; what the method's `prepared` throws.
  package init(
    _ sources: MergeSources, method: any MergingMethod, pipeline: OrderedPipeline = .automatic
  ) throws(StorageError) {
    if method.readsExperts { try sources.refuseCodes() }
    if method.usesLinearAlgebra { try BLAS.prepare(threads: pipeline.threads) }
    self.sources = method.readsExperts ? try sources.withTies() : sources
    self.method = try method.prepared(for: self.sources, pipeline: pipeline)
  }

  package var tensors: [TensorInfo] { sources.base.tensors }
  package var metadata: [String: String] { sources.base.metadata }
  package var typedMetadata: TypedMetadata { sources.base.typedMetadata }
  package var ties: [String: String] { method.readsExperts ? [:] : sources.base.ties }
  package var label: String { sources.base.label }

  package func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes {
    if let own = try unmerged(info) { return try sources.base.bytes(of: own) }
    return try copy(of: info)
  }

  package func piece(_ range: Range<Int>, of info: TensorInfo) throws(StorageError) -> [UInt8]? {
    guard let own = try unmerged(info) else { return nil }
    return try sources.base.piece(range, of: own)
  }

  package func spanned(_ info: TensorInfo) throws(StorageError) -> SpannedTensor? {
    guard let own = try unmerged(info) else { return nil }
    return try sources.base.spanned(own)
  }

  /// The base's tensor that this one is; nil for one that is merged.
  private func unmerged(_ info: TensorInfo) throws(StorageError) -> TensorInfo? {
    let own = sources.leaders[ExactString(info.name)] ?? info
    guard method.readsExperts, try sources.group(for: own) != nil else { return own }
    return nil
  }

  package func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    let info = sources.leaders[ExactString(info.name)] ?? info
    guard method.readsExperts, let group = try sources.group(for: info) else {
      return try sources.base.read(info, into: destination)
    }
    try located(tensor: info.name) { () throws(StorageError) in
      var failure: StorageError?
      do throws(StorageError) { try method.merge(group, into: MergedTensor(destination, of: group)) } catch {
        guard error.code == .nonFinite else { throw error }
        failure = error
      }
      // Only then, so that finite tensors are read once.
      let isFinite = group.format.firstNonFinite(UnsafeRawBufferPointer(destination)) == nil
      if failure != nil || !isFinite, try group.equalsBase() {
        return try sources.base.read(info, into: destination)
      }
      if let failure { throw failure }
      try group.keepSigns(ofZerosIn: destination)
    }
  }
}
