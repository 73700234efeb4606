import TMPackByteIO
import TMPackLlamaCpp
import TMPackTensorKit

/// The tensors of an adapter of llama.cpp: `NAME.lora_a` and `NAME.lora_b` for the weight NAME, those of experts in stacks.
///
/// Memory while reading one: what `ExportedAdapter` takes, and the tensor.
struct RuntimeAdapter: TensorSource {
  let tensors: [TensorInfo]
  let typedMetadata: TypedMetadata
  var metadata: [String: String] { typedMetadata.strings }
  var label: String { adapter.label }

  private struct Side: Sendable {
    let target: Target
    let isA: Bool
  }

  /// Updates of one weight: one, or some of a stack's.
  private struct Target: Sendable {
    let name: String
    var updates: [(index: Int, place: AdapterPlaces.Place)] = []
    var rank = 0
  }

  private let adapter: ExportedAdapter
  private let sides: [ExactString: Side]

  /// - Precondition: every update has a place.
  init(_ adapter: ExportedAdapter, _ export: AdapterExport, _ places: AdapterPlaces) throws(StorageError) {
    self.adapter = adapter
    var targets: [ExactString: Target] = [:]
    for (index, update) in export.updates.enumerated() {
      guard let place = places.place(of: update.info.name) else { preconditionFailure("an update without a place") }
      let name = ExactString(place.name)
      targets[name, default: Target(name: place.name)].updates.append((index, place))
      targets[name]!.rank = max(targets[name]!.rank, adapter.sides(ofUpdate: index).a.shape.dimensions[0])
    }
    var tensors: [TensorInfo] = []
    var sides: [ExactString: Side] = [:]
    for target in targets.values {
      let first = export.updates[target.updates[0].index]
      let (a, b) = adapter.sides(ofUpdate: target.updates[0].index)
      let stack = target.updates[0].place.expert == nil ? [] : [places.expertCount ?? 0]
      let (inputs, outputs) = (a.shape.dimensions[1], b.shape.dimensions[0])
      // Rows of an embedding are looked up.
      let shapeOfA = first.kind == .embedding ? [inputs, target.rank] : [target.rank, inputs]
      for (suffix, shape, isA) in [(".lora_a", shapeOfA, true), (".lora_b", [outputs, target.rank], false)] {
        let info = try TensorInfo(name: target.name + suffix, dtype: a.dtype, shape: Shape(stack + shape))
        tensors.append(info)
        sides[ExactString(info.name)] = Side(target: target, isA: isA)
      }
    }
    self.tensors = tensors.sortedByName()
    self.sides = sides
    let ranks = Set(targets.values.map(\.rank))
    // llama.cpp multiplies by α ÷ rank, and with α = 0 by nothing.
    let alpha = ranks.count == 1 ? Float(ranks.first!) : 0
    typedMetadata = try TypedMetadata(entries: [
      .init(key: "general.type", value: .string("adapter")),
      .init(key: "general.architecture", value: .string(places.architecture)),
      .init(key: "adapter.type", value: .string("lora")),
      .init(key: "adapter.lora.alpha", value: .float32(alpha)),
    ])
  }

  func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    guard let side = sides[ExactString(info.name)] else { throw unknown(info) }
    let target = side.target
    destination.initializeMemory(as: UInt8.self, repeating: 0)
    let stack = target.updates[0].place.expert == nil ? 1 : info.shape.dimensions[0]
    let share = destination.count / max(1, stack)
    for (index, place) in target.updates {
      let (a, b) = adapter.sides(ofUpdate: index)
      let own = side.isA ? a : b
      let start = (place.expert ?? 0) * share
      let part = UnsafeMutableRawBufferPointer(rebasing: destination[start..<start + share])
      let bytes = try adapter.bytes(of: own)
      let width = own.dtype.bitWidth / 8
      let rank = a.shape.dimensions[0]
      try bytes.withBytes { source in
        if side.isA, adapter.isEmbedding(update: index) {
          Self.transpose(source, rows: rank, width: width, stride: target.rank, into: part)
        } else if side.isA {
          UnsafeMutableRawBufferPointer(rebasing: part[..<source.count]).copyMemory(from: source)
        } else {
          Self.place(source, rank: rank, in: target.rank, width: width, place.interleavedHeads, into: part)
        }
      }
    }
  }

  /// B, [outputs, rank], in rows of a rank that may be larger.
  private static func place(
    _ source: UnsafeRawBufferPointer, rank: Int, in wide: Int, width: Int, _ heads: Int?,
    into target: UnsafeMutableRawBufferPointer
  ) {
    let rows = target.count / (wide * width)
    func spread(_ source: UnsafeRawBufferPointer) {
      for row in 0..<rows {
        let from = row * rank * width..<(row + 1) * rank * width
        let to = row * wide * width
        UnsafeMutableRawBufferPointer(rebasing: target[to..<to + rank * width]).copyMemory(
          from: UnsafeRawBufferPointer(rebasing: source[from]))
      }
    }
    guard let heads else { return spread(source) }
    withUnsafeTemporaryAllocation(byteCount: source.count, alignment: 1) { ordered in
      HeadRows.interleave(source, heads: heads, rows: rows, into: ordered)
      spread(UnsafeRawBufferPointer(ordered))
    }
  }

  /// A, [rank, inputs], to [inputs, stride].
  private static func transpose(
    _ source: UnsafeRawBufferPointer, rows: Int, width: Int, stride: Int, into target: UnsafeMutableRawBufferPointer
  ) {
    let columns = source.count / max(1, rows * width)
    for row in 0..<rows {
      for column in 0..<columns {
        let from = (row * columns + column) * width
        let to = (column * stride + row) * width
        for byte in 0..<width { target[to + byte] = source[from + byte] }
      }
    }
  }
}
