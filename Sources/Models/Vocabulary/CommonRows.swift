import TMPackByteIO
import TMPackTensorKit

/// A model whose vocabulary has grown, cut to the rows that the model that it was made from has, too.
///
/// New tokens come behind the old ones: a tensor of the other model's name, dtype and further dimensions, but of more rows, begins
/// with that one's rows. Whether it was made from it its numbers tell: what is in common points where the other's does
/// (`SampledChange.isRelated`). A new head of more classes does not. Tensors that grew from as many rows to as many are judged together, so that a head's
/// bias, of which the other model has only zeros, goes with the head.
///
/// Memory while reading a cut tensor: what the source takes for all of it.
package struct CommonRows: SourceView {
  package let tensors: [TensorInfo]
  package let source: any TensorSource
  /// Those that are cut, as the source has them.
  private let whole: [ExactString: TensorInfo]

  /// nil where nothing is to be cut.
  ///
  /// - Throws: what reading some of the numbers throws.
  package init?(of source: any TensorSource, and model: any TensorSource) throws(StorageError) {
    struct Growth: Hashable {
      let from: Int
      let to: Int
    }
    var grown: [Growth: [(own: TensorInfo, common: TensorInfo)]] = [:]
    for own in source.tensors {
      guard let common = model.tensor(named: own.name), own.extends(common) else { continue }
      let growth = Growth(from: common.shape.dimensions[0], to: own.shape.dimensions[0])
      grown[growth, default: []].append((own, common))
    }
    var whole: [ExactString: TensorInfo] = [:]
    for pairs in grown.values {
      var change = SampledChange()
      for (own, common) in pairs { try change.add(own, of: source, against: common, of: model) }
      guard change.isRelated else { continue }
      for (own, _) in pairs { whole[ExactString(own.name)] = own }
    }
    guard !whole.isEmpty else { return nil }
    self.source = source
    self.whole = whole
    tensors = source.tensors.map { own in
      whole[ExactString(own.name)] == nil ? own : model.tensor(named: own.name)!
    }
  }

  /// A tensor with all its rows; nil for one that is not cut.
  package func whole(_ name: String) -> TensorInfo? { whole[ExactString(name)] }

  /// What a person should know where the further rows are left out.
  package var notesOfRows: [String] {
    let names = whole.values.map(\.name).sorted { $0.precedesInBytes($1) }
    guard let first = names.first, let own = whole(first), let common = tensor(named: first) else { return [] }
    let others = names.count > 1 ? ", and of \(names.count - 1) more" : ""
    return [
      "the last \(own.shape.dimensions[0] - common.shape.dimensions[0]) rows of \(first)\(others), which the base has not, are left out"
    ]
  }

  package func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes {
    let all = try source.bytes(of: original(of: info))
    guard whole(info.name) != nil else { return all }
    return try all.withBytes {
      TensorBytes(viewing: UnsafeRawBufferPointer(rebasing: $0[..<info.byteCount]), keeping: all)
    }
  }

  package func unchanged(_ info: TensorInfo) -> TensorInfo? { whole(info.name) == nil ? info : nil }

  package func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    guard whole(info.name) != nil else { return try source.read(info, into: destination) }
    try bytes(of: info).withBytes { destination.copyMemory(from: $0) }
  }

  package func piece(_ range: Range<Int>, of info: TensorInfo) throws(StorageError) -> [UInt8]? {
    try source.piece(range, of: original(of: info))
  }

  private func original(of info: TensorInfo) -> TensorInfo { whole(info.name) ?? info }
}

extension TensorInfo {
  /// Whether it is of the same float dtype as another tensor, which has an element, and of the same shape but for more rows.
  package func extends(_ other: TensorInfo) -> Bool {
    dtype == other.dtype && dtype.floatFormat != nil && shape.hasMoreRows(than: other.shape)
  }
}

extension Shape {
  /// Whether nothing but the first dimension is another, and that is greater. Of a tensor without elements: no.
  package func hasMoreRows(than other: Shape) -> Bool {
    let (own, common) = (dimensions, other.dimensions)
    guard let rows = own.first, let fewer = common.first, other.elementCount > 0 else { return false }
    return rows > fewer && own.dropFirst() == common.dropFirst()
  }
}
