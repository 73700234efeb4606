import Synchronization
import TMPackByteIO
import TMPackParallel
import TMPackTensorKit

/// A merged model whose method looks at the whole models, if it must, when a tensor is first read: never, where all
/// that is merged is known already.
package final class MergedOnDemand: TensorSource {
  private let sources: MergeSources
  private let method: any MergingMethod
  private let pipeline: OrderedPipeline
  private let merged = Mutex<SharedModelSource?>(nil)

  package init(_ sources: MergeSources, method: any MergingMethod, pipeline: OrderedPipeline) {
    self.sources = sources
    self.method = method
    self.pipeline = pipeline
  }

  package var tensors: [TensorInfo] { sources.base.tensors }
  package var metadata: [String: String] { sources.base.metadata }
  package var typedMetadata: TypedMetadata { sources.base.typedMetadata }
  package var ties: [String: String] { method.readsExperts ? [:] : sources.base.ties }
  package var label: String { sources.base.label }

  /// - Throws: what `SharedModelSource.init` throws.
  package func prepare() throws(StorageError) { _ = try source() }

  package func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try source().read(info, into: destination)
  }

  package func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes { try source().bytes(of: info) }

  package func piece(_ range: Range<Int>, of info: TensorInfo) throws(StorageError) -> [UInt8]? {
    try source().piece(range, of: info)
  }

  package func spanned(_ info: TensorInfo) throws(StorageError) -> SpannedTensor? { try source().spanned(info) }

  private func source() throws(StorageError) -> SharedModelSource {
    try merged.withLock { merged throws(StorageError) in
      if let merged { return merged }
      let source = try SharedModelSource(sources, method: method, pipeline: pipeline)
      merged = source
      return source
    }
  }
}
