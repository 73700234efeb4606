import TMPackByteIO
import TMPackTensorKit

/// A model whose tensors of float dtypes are those of another model: where the other has a tensor of the same name and shape, or of fewer rows, in
/// another of F64, F32, F16 and BF16, each number is rounded to that once, to nearest even.
///
/// Memory while reading such a tensor, or a piece of it: its bytes in both dtypes.
package struct MatchedDTypes: SourceView {
  package let tensors: [TensorInfo]
  package let source: any TensorSource
  /// The source's infos, in the order of `tensors`.
  private let originals: [TensorInfo]
  /// Names of those that are converted.
  private let converted: [String]

  /// nil where nothing is to be converted.
  package init?(_ source: any TensorSource, as other: [TensorInfo]) throws(StorageError) {
    var converted: [String] = []
    originals = source.tensors
    tensors = try originals.map { info throws(StorageError) in
      guard let index = other.index(ofTensor: info.name), other[index].dtype != info.dtype,
        other[index].shape == info.shape || info.shape.hasMoreRows(than: other[index].shape),
        other[index].dtype.floatFormat != nil, info.dtype.floatFormat != nil
      else { return info }
      converted.append(info.name)
      return try TensorInfo(name: info.name, dtype: other[index].dtype, shape: info.shape)
    }
    guard !converted.isEmpty else { return nil }
    (self.source, self.converted) = (source, converted)
  }

  /// Of most of the numbers that are converted.
  package var mainDType: DType {
    var counts: [DType: Int] = [:]
    for name in converted {
      let info = tensors[tensors.index(ofTensor: name)!]
      counts[info.dtype, default: 0] += info.shape.elementCount
    }
    return counts.max { ($0.value, $1.key.rawValue) < ($1.value, $0.key.rawValue) }!.key
  }

  package var notes: [String] {
    let first = tensors.index(ofTensor: converted[0])!
    let (from, to) = (originals[first].dtype.rawValue, tensors[first].dtype.rawValue)
    let others = converted.count > 1 ? "; so are \(converted.count - 1) more" : ""
    return source.notes + ["\(converted[0]) is \(from), and rounded to the base's \(to)\(others)"]
  }

  package func unchanged(_ info: TensorInfo) -> TensorInfo? {
    guard let original = try? original(of: info), original.dtype == info.dtype else { return nil }
    return original
  }

  package func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    let original = try original(of: info)
    guard original.dtype != info.dtype, let from = original.dtype.floatFormat, let to = info.dtype.floatFormat else {
      return try source.read(original, into: destination)
    }
    let overflows = try source.bytes(of: original).withBytes { from.convert($0, to: to, into: destination) }
    if overflows > 0 { throw tooLarge(overflows, info) }
  }

  package func piece(_ range: Range<Int>, of info: TensorInfo) throws(StorageError) -> [UInt8]? {
    let original = try original(of: info)
    guard original.dtype != info.dtype, let from = original.dtype.floatFormat, let to = info.dtype.floatFormat else {
      return try source.piece(range, of: original)
    }
    let elements = range.lowerBound / to.byteWidth..<(range.upperBound + to.byteWidth - 1) / to.byteWidth
    let bytes = elements.lowerBound * from.byteWidth..<elements.upperBound * from.byteWidth
    guard let own = try source.piece(bytes, of: original) else { return nil }
    var overflows = 0
    let converted = try [UInt8](count: elements.count * to.byteWidth) { target in
      own.withUnsafeBytes { overflows = from.convert($0, to: to, into: target) }
    }
    if overflows > 0 { throw tooLarge(try self.overflows(of: original, from, to), info) }
    let first = range.lowerBound - elements.lowerBound * to.byteWidth
    return converted.count == range.count ? converted : Array(converted[first..<first + range.count])
  }

  /// In all of a tensor.
  private func overflows(
    of original: TensorInfo, _ from: FloatFormat, _ to: FloatFormat
  ) throws(StorageError) -> Int {
    var count = 0
    var room = [UInt8](repeating: 0, count: OpenTensor.runBytes / from.byteWidth * to.byteWidth)
    try source.opened(original).forEachRun { _, run in
      room.withUnsafeMutableBytes { room in
        let target = UnsafeMutableRawBufferPointer(rebasing: room[..<(run.count / from.byteWidth * to.byteWidth)])
        count += from.convert(run, to: to, into: target)
      }
    }
    return count
  }

  private func tooLarge(_ count: Int, _ info: TensorInfo) -> StorageError {
    StorageError(
      .nonFinite,
      "\(count) of its numbers are too large for \(info.dtype.rawValue), which the base has: convert the base first",
      file: label, tensor: info.name)
  }

  private func original(of info: TensorInfo) throws(StorageError) -> TensorInfo { originals[try place(of: info)] }
}
