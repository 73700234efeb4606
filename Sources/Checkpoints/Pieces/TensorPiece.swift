import TMPackByteIO
import TMPackTensorKit

/// A box of a tensor's elements that lies somewhere by itself, row-major: the part of one process of a training.
struct TensorPiece: Sendable {
  /// Of its first element in the tensor.
  let offsets: [Int]
  let shape: Shape
  /// The elements of the piece, read when asked.
  let bytes: @Sendable () throws(StorageError) -> TensorBytes
}

extension TensorPiece {
  /// Copies `source`, the elements of the piece, to where they are in the tensor.
  ///
  /// - Precondition: the piece is within `whole`, which `PiecedTensor` has checked.
  func copy(_ source: UnsafeRawBufferPointer, to target: UnsafeMutableRawBufferPointer, of whole: PiecedTensor) {
    guard shape.elementCount > 0 else { return }
    let sizes = shape.dimensions
    let all = whole.shape.dimensions
    // The dimensions behind `outer` are whole in the piece, so a run of it is one of the tensor.
    var outer = sizes.count
    var run = 1
    while outer > 0 {
      outer -= 1
      run *= sizes[outer]
      if sizes[outer] != all[outer] { break }
    }
    let strides = StridedView.rowMajor(whole.shape)
    let bits = whole.info.dtype.bitWidth
    let runBytes = run * bits / 8
    var indexes = [Int](repeating: 0, count: outer)
    var place = zip(offsets, strides).reduce(0) { $0 + $1.0 * $1.1 }
    var read = 0
    while true {
      let start = place * bits / 8
      UnsafeMutableRawBufferPointer(rebasing: target[start..<start + runBytes])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: source[read..<read + runBytes]))
      read += runBytes
      var dimension = outer - 1
      while dimension >= 0 {
        indexes[dimension] += 1
        place += strides[dimension]
        if indexes[dimension] < sizes[dimension] { break }
        place -= strides[dimension] * sizes[dimension]
        indexes[dimension] = 0
        dimension -= 1
      }
      if dimension < 0 { return }
    }
  }
}

/// A tensor and the pieces that it is put together from.
struct PiecedTensor: Sendable {
  let info: TensorInfo
  /// How the pieces see the tensor: by its own shape, or as one row of elements.
  let shape: Shape
  let pieces: [TensorPiece]

  /// - Parameter shape: nil for the tensor's own; as many elements otherwise.
  /// - Throws: `malformed` unless every element is in exactly one piece; `unsupportedFeature` for elements smaller than a
  ///   byte that pieces part within one; `limitExceeded` for pieces that form no grid, nor nearly one.
  init(_ info: TensorInfo, as shape: Shape? = nil, _ pieces: [TensorPiece]) throws(StorageError) {
    let shape = shape ?? info.shape
    precondition(shape.elementCount == info.shape.elementCount, "the same elements")
    (self.info, self.shape, self.pieces) = (info, shape, pieces)
    let all = shape.dimensions
    var count = 0
    for piece in pieces {
      let sizes = piece.shape.dimensions
      guard sizes.count == all.count, piece.offsets.count == all.count else {
        throw StorageError(.malformed, "has \(all.count) dimensions, a piece of it \(sizes.count)")
      }
      for (dimension, (offset, size)) in zip(piece.offsets, sizes).enumerated() {
        guard offset >= 0, offset <= all[dimension], size <= all[dimension] - offset else {
          throw StorageError(.malformed, "has a piece that reaches beyond its shape \(shape)")
        }
      }
      count = try count.adding(piece.shape.elementCount, "the elements of the pieces")
      if info.dtype.bitWidth < 8, piece.shape.elementCount > 0, let offset = piece.offsets.last, let size = sizes.last {
        guard (offset * info.dtype.bitWidth).isMultiple(of: 8), (size * info.dtype.bitWidth).isMultiple(of: 8) else {
          throw StorageError(.unsupportedFeature, "has a piece that ends within a byte")
        }
      }
    }
    guard count == info.shape.elementCount else {
      throw StorageError(
        .malformed, "has \(info.shape.elementCount) elements, its pieces \(count): some are missing, or there twice")
    }
    try checkOverlaps()
  }

  /// As many elements as there should be, and none twice: then none is missing.
  private func checkOverlaps() throws(StorageError) {
    let filled = pieces.filter { $0.shape.elementCount > 0 }
    guard filled.count > 1 else { return }
    // The faces of all pieces cut the tensor into cells.
    let cuts = shape.dimensions.indices.map { dimension in
      Set(filled.flatMap { [$0.offsets[dimension], $0.offsets[dimension] + $0.shape.dimensions[dimension]] }).sorted()
    }
    var cells = 1
    for cut in cuts { cells = try cells.multiplied(by: cut.count - 1, "the cells between pieces") }
    try Limits.check(cells, atMost: Limits.cellsOfPieces(filled.count), "the number of cells between pieces")
    let strides = StridedView.rowMajor(try Shape(cuts.map { $0.count - 1 }))
    var taken = [Bool](repeating: false, count: cells)
    for piece in filled {
      var places = [0]
      for (dimension, cut) in cuts.enumerated() {
        let first = cut.partitioningIndex { $0 >= piece.offsets[dimension] }
        let end = cut.partitioningIndex { $0 >= piece.offsets[dimension] + piece.shape.dimensions[dimension] }
        places = places.flatMap { place in (first..<end).map { place + $0 * strides[dimension] } }
      }
      for place in places {
        guard !taken[place] else { throw StorageError(.malformed, "has two pieces that overlap") }
        taken[place] = true
      }
    }
  }

  /// The piece that is all of it.
  private var whole: TensorPiece? { pieces.count == 1 ? pieces[0] : nil }

  /// - Complexity: memory for the tensor and one piece.
  func bytes() throws(StorageError) -> TensorBytes {
    if let whole { return try whole.bytes() }
    return try TensorBytes(count: info.byteCount) { memory throws(StorageError) in
      for piece in pieces where piece.shape.elementCount > 0 {
        try piece.bytes().withBytes { piece.copy($0, to: memory, of: self) }
      }
    }
  }
}
