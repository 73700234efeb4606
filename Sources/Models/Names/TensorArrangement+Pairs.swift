import TMPackByteIO
import TMPackTensorKit

/// How the rows lie that positions turn (RoPE): pair after pair in each head, as in Meta's files, or the first of all pairs of a head
/// before the second ones, as in transformers.
enum PairOrder {
  case interleaved
  case halves
}

extension TensorArrangement {
  /// All of a tensor under a name, with its rows in another order.
  ///
  /// - Parameters:
  ///   - order: that of this tensor; the source has the other.
  ///   - headWidth: rows of one head.
  /// - Returns: nil where the rows are no whole heads.
  init?(
    _ source: TensorInfo, named name: String, rows order: PairOrder, headWidth: Int
  ) throws(StorageError) {
    let rows = source.shape.dimensions.first ?? 0
    guard rows > 0, headWidth > 0, headWidth.isMultiple(of: 2), rows.isMultiple(of: headWidth),
      source.byteCount.isMultiple(of: rows)
    else { return nil }
    let row = source.byteCount / rows
    let half = headWidth / 2
    var copies: [Copy] = []
    for head in 0..<rows / headWidth {
      for side in 0..<2 {
        let paired = (start: (head * headWidth + side) * row, stride: 2 * row)
        let together = (start: (head * headWidth + side * half) * row, stride: row)
        let (from, to) = order == .interleaved ? (together, paired) : (paired, together)
        copies.append(
          Copy(
            source: source, count: half, run: row, sourceStart: from.start, sourceStride: from.stride, start: to.start,
            stride: to.stride))
      }
    }
    self.init(try TensorInfo(name: name, dtype: source.dtype, shape: source.shape), copies)
  }
}

/// The names of a model's tensors whose rows are interleaved pairs, by a naming.
struct PairedRows {
  private let paired: Set<ExactString>

  /// - Parameter names: as the naming is to read them, of the tensors.
  init(_ tensors: [TensorInfo], _ names: [String], by naming: NameTable.Naming) {
    guard naming.parts.contains(where: { !$0.family.pairs.isEmpty }) else {
      paired = []
      return
    }
    paired = Set(zip(tensors, names).filter { naming.hasPairs($0.1) }.map { ExactString($0.0.name) })
  }

  func contains(_ info: TensorInfo) -> Bool { paired.contains(ExactString(info.name)) }
  var isEmpty: Bool { paired.isEmpty }
}

/// What becomes of rows where one model has pairs and the other halves.
struct RowReordering {
  let target: PairedRows
  let source: PairedRows
  /// Rows of one head; nil where nothing says it.
  let headWidth: Int?
  /// A tensor that could not be brought into order, as the width of heads is not known.
  private(set) var unordered: TensorInfo?

  init(target: PairedRows, source: PairedRows, headWidth: Int?) {
    (self.target, self.source, self.headWidth) = (target, source, headWidth)
  }

  /// - Parameters:
  ///   - arrangement: of the same rows as the source has.
  ///   - info: the tensor that is arranged, as the target has it.
  /// - Returns: nil where rows would have to move between tensors too, or are no whole heads.
  mutating func ordered(
    _ arrangement: TensorArrangement, as info: TensorInfo
  ) throws(StorageError) -> TensorArrangement? {
    if target.isEmpty, source.isEmpty { return arrangement }
    let isPaired = target.contains(info)
    guard arrangement.copies.contains(where: { source.contains($0.source) != isPaired }) else { return arrangement }
    guard let whole = arrangement.whole else { return nil }
    guard let headWidth else {
      unordered = unordered ?? whole
      return arrangement
    }
    return try TensorArrangement(
      whole, named: arrangement.info.name, rows: isPaired ? .interleaved : .halves, headWidth: headWidth)
  }

  static func error(_ tensor: TensorInfo) -> StorageError {
    StorageError(
      .unsupportedFeature,
      """
      has the rows of each head in another order than the other model (RoPE: pairs, as Meta's files have them, or halves), and \
      nothing says how many a head has: name folders with config.json or params.json beside the weights
      """, tensor: tensor.name)
  }
}
