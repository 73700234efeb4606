import TMPackByteIO
import TMPackTensorKit

/// A model under the names, and with the elements in the order, that llama.cpp has.
///
/// Memory while reading a tensor: its bytes, and those of one tensor that it is made of, where that is not mapped.
struct RuntimeSource: SourceView {
  let source: any TensorSource
  let tensors: [TensorInfo]
  let typedMetadata: TypedMetadata
  /// In the order of `tensors`.
  private let contents: [RuntimeTensor]
  private let heads: (queries: Int, keys: Int)
  private let queryScale: Float

  init(
    _ source: any TensorSource, _ tensors: [RuntimeTensor], metadata: TypedMetadata,
    heads: (queries: Int, keys: Int), queryScale: Float
  ) {
    self.source = source
    contents = tensors.sorted { $0.info.name.precedesInBytes($1.info.name) }
    self.tensors = contents.map(\.info)
    typedMetadata = metadata
    self.heads = heads
    self.queryScale = queryScale
  }

  var metadata: [String: String] { typedMetadata.strings }
  /// A tensor has one name to llama.cpp.
  var ties: [String: String] { [:] }

  func unchanged(_ info: TensorInfo) -> TensorInfo? { (try? content(of: info))?.original }

  private func content(of info: TensorInfo) throws(StorageError) -> RuntimeTensor { contents[try place(of: info)] }

  /// Names of the tensors that one is made of, where its columns are theirs.
  func originals(of name: String) -> [String] {
    guard let index = tensors.index(ofTensor: name), case .tensors(let own, let change) = contents[index].content,
      change != .transposed
    else { return [] }
    return own.map(\.name)
  }

  func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    switch try content(of: info).content {
    case .values(let values):
      for (index, value) in values.enumerated() {
        destination.storeBytes(of: value.bitPattern.littleEndian, toByteOffset: index * 4, as: UInt32.self)
      }
    case .tensors(let tensors, let change):
      let share = destination.count / tensors.count
      for (index, own) in tensors.enumerated() {
        let part = UnsafeMutableRawBufferPointer(rebasing: destination[index * share..<(index + 1) * share])
        try read(own, change, as: info.dtype, into: part)
      }
    }
  }

  private func read(
    _ own: TensorInfo, _ change: TensorChange, as dtype: DType, into destination: UnsafeMutableRawBufferPointer
  ) throws(StorageError) {
    let bytes = try source.bytes(of: own)
    guard own.dtype != dtype else { return try arrange(bytes, own, change, into: destination) }
    guard let from = own.dtype.conversionFormat, let to = dtype.conversionFormat else {
      preconditionFailure("floats only become others")
    }
    var overflows = 0
    let converted = try TensorBytes(count: own.shape.elementCount * to.byteWidth) { memory throws(StorageError) in
      overflows = try bytes.withBytes { from.convert($0, to: to, into: memory) }
    }
    guard overflows == 0 else {
      throw StorageError(.nonFinite, "has numbers too large for \(dtype.rawValue)", file: label, tensor: own.name)
    }
    let info = try TensorInfo(name: own.name, dtype: dtype, shape: own.shape)
    try arrange(converted, info, change, into: destination)
  }

  private func arrange(
    _ bytes: TensorBytes, _ info: TensorInfo, _ change: TensorChange, into destination: UnsafeMutableRawBufferPointer
  ) throws(StorageError) {
    let width = info.dtype.bitWidth / 8
    let dimensions = info.shape.dimensions
    try bytes.withBytes { source in
      switch change {
      case .none: destination.copyMemory(from: source)
      case .transposed:
        source.transpose(rows: dimensions[0], columns: dimensions[1], width: width, into: destination)
      case .interleavedQueries:
        HeadRows.interleave(source, heads: heads.queries, rows: dimensions[0], into: destination)
      case .interleavedKeys: HeadRows.interleave(source, heads: heads.keys, rows: dimensions[0], into: destination)
      case .plusOne: source.addOne(scale: 1, into: destination)
      case .plusOneScaled: source.addOne(scale: queryScale, into: destination)
      case .firstHalf: source.takeHalf(ofEach: dimensions[0], second: false, into: destination)
      case .secondHalf: source.takeHalf(ofEach: dimensions[0], second: true, into: destination)
      }
    }
  }
}

extension UnsafeRawBufferPointer {
  /// In squares that stay in the first-level cache.
  fileprivate func transpose(rows: Int, columns: Int, width: Int, into target: UnsafeMutableRawBufferPointer) {
    let side = 32
    for top in stride(from: 0, to: rows, by: side) {
      for left in stride(from: 0, to: columns, by: side) {
        for row in top..<Swift.min(top + side, rows) {
          for column in left..<Swift.min(left + side, columns) {
            let from = (row * columns + column) * width
            let into = (column * rows + row) * width
            for byte in 0..<width { target[into + byte] = self[from + byte] }
          }
        }
      }
    }
  }

  /// Of F32.
  fileprivate func addOne(scale: Float, into target: UnsafeMutableRawBufferPointer) {
    for place in stride(from: 0, to: count, by: 4) {
      let value = Float(bitPattern: UInt32(littleEndian: loadUnaligned(fromByteOffset: place, as: UInt32.self)))
      let changed = ((value + 1) * scale).bitPattern.littleEndian
      target.storeBytes(of: changed, toByteOffset: place, as: UInt32.self)
    }
  }

  fileprivate func takeHalf(ofEach matrices: Int, second: Bool, into target: UnsafeMutableRawBufferPointer) {
    guard matrices > 0 else { return }
    let half = count / matrices / 2
    for index in 0..<matrices {
      let from = (2 * index + (second ? 1 : 0)) * half
      UnsafeMutableRawBufferPointer(rebasing: target[index * half..<(index + 1) * half]).copyMemory(
        from: UnsafeRawBufferPointer(rebasing: self[from..<from + half]))
    }
  }
}
