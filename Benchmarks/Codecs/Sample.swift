import TMPackCheckpoints
import TMPackTensorKit

/// Tensors that a base and a fine-tune of it have in common, and that differ.
struct Pair {
  let info: TensorInfo
  let base: TensorBytes
  let expert: TensorBytes

  static func all(_ basePath: String, _ expertPath: String) throws -> [Pair] {
    let base = try Checkpoint.open(basePath).source
    let expert = try Checkpoint.open(expertPath).source
    let known = Dictionary(uniqueKeysWithValues: base.tensors.map { ($0.name, $0) })
    return try expert.tensors.compactMap { info throws -> Pair? in
      guard let other = known[info.name], other.matches(info), info.dtype.floatFormat != nil else { return nil }
      let pair = Pair(info: info, base: try base.bytes(of: other), expert: try expert.bytes(of: info))
      let before = try pair.base.withBytes { [UInt8]($0) }
      return try pair.expert.withBytes { before.elementsEqual($0) } ? nil : pair
    }
  }
}

/// Pieces of a base and its fine-tune, of one frame's size, evenly spread over the tensors.
struct Sample {
  struct Piece {
    let base: [UInt8]
    let expert: [UInt8]
  }

  static let pieceSize = 1 << 20
  let dtype: DType
  var pieces: [Piece] = []

  /// - Parameter count: how many pieces, at most.
  init(_ pairs: [Pair], count: Int) throws {
    dtype = pairs[0].info.dtype
    let places = pairs.indices.filter { pairs[$0].info.dtype == dtype }.flatMap { index in
      (0..<pairs[index].info.byteCount / Self.pieceSize).map { (index, $0 * Self.pieceSize) }
    }
    let taken = min(count, places.count)
    for number in 0..<taken {
      let (index, start) = places[number * places.count / taken]
      let range = start..<start + Self.pieceSize
      pieces.append(
        Piece(
          base: try pairs[index].base.withBytes { [UInt8]($0[range]) },
          expert: try pairs[index].expert.withBytes { [UInt8]($0[range]) }))
    }
  }

  var size: Int { pieces.count * Self.pieceSize }
}
