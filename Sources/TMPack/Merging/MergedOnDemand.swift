import ByteIO
import Parallel
import Synchronization
import TensorKit

/// A merged model whose method looks at the whole models, if it must, when a tensor is first read: never, where all
/// that is merged is known already.
final class MergedOnDemand: TensorSource {
  private let sources: MergeSources
  private let method: any MergingMethod
  private let pipeline: OrderedPipeline
  private let merged = Mutex<SharedModelSource?>(nil)

  init(_ sources: MergeSources, method: any MergingMethod, pipeline: OrderedPipeline) {
    self.sources = sources
    self.method = method
    self.pipeline = pipeline
  }

  var tensors: [TensorInfo] { sources.base.tensors }
  var metadata: [String: String] { sources.base.metadata }
  var typedMetadata: TypedMetadata { sources.base.typedMetadata }
  var ties: [String: String] { method.readsExperts ? [:] : sources.base.ties }
  var label: String { sources.base.label }

  /// - Throws: what `SharedModelSource.init` throws.
  func prepare() throws(StorageError) { _ = try source() }

  func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try source().read(info, into: destination)
  }

  private func source() throws(StorageError) -> SharedModelSource {
    try merged.withLock { merged throws(StorageError) in
      if let merged { return merged }
      let source = try SharedModelSource(sources, method: method, pipeline: pipeline)
      merged = source
      return source
    }
  }
}
