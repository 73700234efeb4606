import TMPackByteIO
import TMPackTensorKit

/// How much each input of a matrix counts: the mean square of what is multiplied with its column, as llama.cpp's imatrix has it.
///
/// | file | tensors for a matrix W |
/// |---|---|
/// | `llama-imatrix`'s, GGUF | `W.in_sum2` [matrices, inputs], `W.counts` [matrices, 1] |
/// | statistics, any format | `W.gram` [inputs, inputs], of which the diagonal counts |
package struct ImportanceMatrix: Sendable {
  private let source: any TensorSource
  /// The tensors that a tensor is made of, none where its columns are not theirs.
  private let originals: @Sendable (String) -> [String]

  /// - Throws: `malformed` for a file without either.
  package init(
    _ source: any TensorSource, originals: @escaping @Sendable (String) -> [String] = { [$0] }
  ) throws(StorageError) {
    guard source.tensors.contains(where: { $0.name.hasSuffix(Self.sums) || $0.name.hasSuffix(Self.gram) }) else {
      throw StorageError(
        .malformed, "has neither in_sum2 of an importance matrix nor gram of statistics", file: source.label)
    }
    self.source = source
    self.originals = originals
  }

  private static let (sums, counts, gram) = (".in_sum2", ".counts", ".gram")

  package func has(_ info: TensorInfo) -> Bool {
    let names = names(of: info.name)
    return !names.isEmpty
      && names.allSatisfy { source.tensor(named: $0 + Self.sums) != nil || source.tensor(named: $0 + Self.gram) != nil }
  }

  private func names(of tensor: String) -> [String] {
    // A file of llama.cpp's has its names.
    source.tensor(named: tensor + Self.sums) != nil ? [tensor] : originals(tensor)
  }

  /// Of each input, for one matrix after another where there is more than one of them; nil for a tensor that the file does not have.
  ///
  /// - Throws: `shapeMismatch`; `malformed` for numbers that are none, or negative.
  func values(of info: TensorInfo) throws(StorageError) -> [Float]? {
    guard has(info) else { return nil }
    let inputs = info.shape.dimensions.last ?? 1
    var all: [Float] = []
    for name in names(of: info.name) { all += try values(named: name, inputs: inputs) }
    let matrices = info.shape.dimensions.dropLast(2).reduce(1, *)
    guard all.count == inputs || all.count == inputs * matrices else {
      throw StorageError(
        .shapeMismatch, "has \(all.count) numbers for the inputs of \(info.name) \(info.shape)", file: source.label)
    }
    if let place = all.firstIndex(where: { !($0 >= 0 && $0.isFinite) }) {
      throw StorageError(
        .malformed, "number \(place) for \(info.name) is \(all[place])", file: source.label)
    }
    return all
  }

  private func values(named name: String, inputs: Int) throws(StorageError) -> [Float] {
    if let info = source.tensor(named: name + Self.gram) {
      guard info.shape.dimensions == [inputs, inputs] else { throw misfit(info, inputs) }
      let gram = try floats(info)
      return (0..<inputs).map { gram[$0 * inputs + $0] }
    }
    guard let info = source.tensor(named: name + Self.sums), info.shape.dimensions.last == inputs, inputs > 0,
      let counted = source.tensor(named: name + Self.counts),
      counted.shape.elementCount == info.shape.elementCount / inputs
    else {
      throw StorageError(
        .malformed, "does not go with counts of a matrix of \(inputs) inputs", file: source.label,
        tensor: name + Self.sums)
    }
    let counts = try floats(counted)
    // What never got an input counts the same everywhere.
    return try floats(info).enumerated().map { index, sum in
      counts[index / inputs] > 0 ? sum / counts[index / inputs] : 1
    }
  }

  private func misfit(_ info: TensorInfo, _ inputs: Int) -> StorageError {
    StorageError(
      .shapeMismatch, "is of a matrix of other than \(inputs) inputs; its shape is \(info.shape)", file: source.label,
      tensor: info.name)
  }

  private func floats(_ info: TensorInfo) throws(StorageError) -> [Float] {
    guard let format = info.dtype.floatFormat else {
      throw StorageError(
        .unsupportedFeature, "is of dtype \(info.dtype.rawValue)", file: source.label, tensor: info.name)
    }
    return try source.bytes(of: info).withBytes { raw in
      [Float](unsafeUninitializedCapacity: info.shape.elementCount) { values, count in
        count = info.shape.elementCount
        format.widen(raw, into: UnsafeMutableBufferPointer(rebasing: values[..<count]))
      }
    }
  }
}
