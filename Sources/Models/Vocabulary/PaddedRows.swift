import TMPackByteIO
import TMPackTensorKit

/// A model with a smaller vocabulary than another's, with that one's rows behind its own: padding that it was saved without.
///
/// Where models are added up, the rows that it lacks do not change. As with `CommonRows`, numbers tell whether the tensors belong
/// together.
///
/// Memory while reading a padded tensor: its bytes, and those of the other's.
package struct PaddedRows: SourceView {
  package let tensors: [TensorInfo]
  package let source: any TensorSource
  private let model: any TensorSource
  /// Those that are padded, as the source has them.
  private let own: [ExactString: TensorInfo]

  /// nil where nothing is to be padded.
  ///
  /// - Throws: what reading some of the numbers throws.
  package init?(_ source: any TensorSource, toRowsOf model: any TensorSource) throws(StorageError) {
    var own: [ExactString: TensorInfo] = [:]
    for info in source.tensors {
      guard let longer = model.tensor(named: info.name), longer.extends(info) else { continue }
      var change = SampledChange()
      try change.add(longer, of: model, against: info, of: source)
      if change.isRelated { own[ExactString(info.name)] = info }
    }
    guard !own.isEmpty else { return nil }
    (self.source, self.model, self.own) = (source, model, own)
    tensors = source.tensors.map { own[ExactString($0.name)] == nil ? $0 : model.tensor(named: $0.name)! }
  }

  /// A tensor with its own rows alone; nil for one that is not padded.
  package func unpadded(_ name: String) -> TensorInfo? { own[ExactString(name)] }

  package func unchanged(_ info: TensorInfo) -> TensorInfo? { unpadded(info.name) == nil ? info : nil }

  package func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    guard let own = unpadded(info.name) else { return try source.read(info, into: destination) }
    try source.read(own, into: UnsafeMutableRawBufferPointer(rebasing: destination[..<own.byteCount]))
    try model.bytes(of: info).withBytes { raw in
      UnsafeMutableRawBufferPointer(rebasing: destination[own.byteCount...])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: raw[own.byteCount...]))
    }
  }
}
