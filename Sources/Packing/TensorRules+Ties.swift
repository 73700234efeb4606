import TMPackByteIO
import TMPackModels
import TMPackTensorKit

extension TensorRules {
  /// The same rules, but one for all copies of a tensor: what is equal in an expert stays equal in what is rebuilt. A rule that keeps a copy
  /// exactly holds for all; otherwise that of the first by name.
  ///
  /// Of each matrix the beginning is read, and all of those that agree in it. Sources that give no pieces are passed over.
  package func unified(over experts: [any TensorSource]) throws(StorageError) -> TensorRules {
    guard !overrides.isEmpty || !included.isEmpty || !excluded.isEmpty else { return self }
    struct Kind: Hashable {
      let dtype: DType
      let shape: Shape
      let beginning: [UInt8]
    }
    var rules = self
    for source in experts {
      var groups: [Kind: [[TensorInfo]]] = [:]
      for info in source.tensors where info.dtype.floatFormat != nil && info.shape.dimensions.count >= 2 {
        guard let beginning = try source.piece(0..<min(info.byteCount, 256), of: info) else { continue }
        let kind = Kind(dtype: info.dtype, shape: info.shape, beginning: beginning)
        var known = groups[kind] ?? []
        var place: Int?
        for index in known.indices where place == nil {
          if try source.areEqual(known[index][0], info) { place = index }
        }
        if let place { known[place].append(info) } else { known.append([info]) }
        groups[kind] = known
      }
      for group in groups.values.flatMap({ $0 }) where group.count > 1 {
        let treatments = group.map { treatment(of: $0.name) }
        guard treatments.contains(where: { $0 != treatments[0] }) else { continue }
        for info in group where rules.ofCopies[ExactString(info.name)] != .exact {
          rules.ofCopies[ExactString(info.name)] = treatments.contains(.exact) ? .exact : treatments[0]
        }
      }
    }
    return rules
  }
}
