import TMPackByteIO
import TMPackModels
import TMPackTensorKit

/// A model and others' differences from it, by the rules of section 7 of the format: θ = θₛ + Σ wₜ · (θₜ − θₛ) in binary32 (F64: binary64), in
/// declaration order, rounded once. What the shared model lacks, or has in another shape, is the decider's.
///
/// Memory while reading a tensor: its numbers once for each expert, and once more.
struct ModelSum: TensorSource {
  let tensors: [TensorInfo]
  let metadata: [String: String]
  let label: String
  private let shared: any TensorSource
  private let experts: [(weight: Float, source: any TensorSource)]
  private let origins: [ExactString: Origin]
  private let overflows = OverflowCount()

  private enum Origin: Sendable {
    /// A model's own numbers; nil for the shared model.
    case own(Int?, TensorInfo)
    /// The shared tensor, and the experts that have it in its shape.
    case sum(TensorInfo, [(expert: Int, info: TensorInfo)])
    /// The same, with the further rows of an expert's tensor behind it, or without the last rows that it lacks.
    case extended(TensorInfo, [(expert: Int, info: TensorInfo)], expert: Int, whole: TensorInfo)

    var info: TensorInfo {
      switch self {
      case .own(_, let info), .sum(let info, _), .extended(_, _, _, let info): info
      }
    }
  }

  /// - Parameters:
  ///   - base: the shared model.
  ///   - sources: the experts with weights other than 0, in declaration order, in its dtypes.
  ///   - dtype: of tensors of float dtypes; nil leaves each its own.
  ///   - isKept: whether a tensor keeps its own in any case.
  init(
    _ base: any TensorSource, _ sources: [(weight: Float, source: any TensorSource)], metadata: [String: String],
    label: String, dtype: FloatFormat?, isKept: (String) -> Bool
  ) throws(StorageError) {
    var origins: [ExactString: Origin] = [:]
    var infos: [TensorInfo] = []
    func decider(_ name: String) -> Int? {
      sources.indices.filter { sources[$0].source.tensor(named: name) != nil }
        .max { (sources[$0].weight, $1) < (sources[$1].weight, $0) }
    }
    var names = Set(base.tensors.map { ExactString($0.name) })
    for source in sources { names.formUnion(source.source.tensors.map { ExactString($0.name) }) }
    for name in names {
      let origin: Origin
      if sources.isEmpty {
        origin = .own(nil, base.tensor(named: name.text)!)
      } else if let decider = decider(name.text) {
        let own = sources[decider].source.tensor(named: name.text)!
        let isAlone = sources.count == 1 && sources[0].weight == 1
        // The decider's own rows, where it has more than the shared model or fewer.
        let whole = Self.whole(name.text, in: sources[decider].source)
        if let common = base.tensor(named: name.text), own.matches(common), own.dtype.floatFormat != nil,
          !isAlone || whole != nil
        {
          let addends = sources.indices.compactMap { index -> (expert: Int, info: TensorInfo)? in
            let info = sources[index].source.tensor(named: name.text)
            return info.flatMap { $0.matches(common) ? (index, $0) : nil }
          }
          origin = whole.map { .extended(common, addends, expert: decider, whole: $0) } ?? .sum(common, addends)
        } else {
          origin = .own(decider, own)
        }
      } else {
        continue
      }
      let info = origin.info
      let asked = info.dtype.floatFormat == nil || isKept(info.name) ? nil : dtype?.dtype
      infos.append(try TensorInfo(name: info.name, dtype: asked ?? info.dtype, shape: info.shape))
      origins[name] = origin
    }
    tensors = infos.sortedByName()
    self.origins = origins
    self.metadata = metadata
    self.label = label
    shared = base
    experts = sources
  }

  private static func cut(_ source: any TensorSource) -> CommonRows? {
    source as? CommonRows ?? ((source as? PaddedRows)?.source as? CommonRows)
  }

  private static func whole(_ name: String, in source: any TensorSource) -> TensorInfo? {
    (source as? PaddedRows)?.unpadded(name) ?? cut(source)?.whole(name)
  }

  private static func converted(_ info: TensorInfo, as dtype: DType) throws(StorageError) -> TensorInfo {
    try TensorInfo(name: info.name, dtype: dtype, shape: info.shape)
  }

  var notes: [String] { shared.notes + experts.flatMap(\.source.notes) }

  /// See `Mix.overflowCount`.
  var overflowCount: Int { overflows.value }

  func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    guard let origin = origins[ExactString(info.name)] else { throw unknown(info) }
    switch origin {
    case .own(let expert, let own):
      let bytes = try (expert.map { experts[$0].source } ?? shared).bytes(of: own)
      try bytes.withBytes { write($0, own.dtype, as: info.dtype, into: destination) }
    case .sum(let common, let addends): try add(addends, to: common, as: info, into: destination)
    case .extended(let common, let addends, let expert, let whole):
      if whole.byteCount < common.byteCount {
        let all = try TensorBytes(count: try Self.converted(common, as: info.dtype).byteCount) {
          buffer throws(StorageError) in
          try add(addends, to: common, as: Self.converted(common, as: info.dtype), into: buffer)
        }
        return try all.withBytes {
          destination.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<info.byteCount]))
        }
      }
      guard let cut = Self.cut(experts[expert].source) else { preconditionFailure("a tensor with further rows") }
      let part = try TensorInfo(name: info.name, dtype: info.dtype, shape: common.shape)
      try add(
        addends, to: common, as: part, into: UnsafeMutableRawBufferPointer(rebasing: destination[..<part.byteCount]))
      let rest = UnsafeMutableRawBufferPointer(rebasing: destination[part.byteCount...])
      try cut.source.bytes(of: whole).withBytes { raw in
        write(UnsafeRawBufferPointer(rebasing: raw[common.byteCount...]), whole.dtype, as: info.dtype, into: rest)
      }
    }
  }

  private func write(
    _ raw: UnsafeRawBufferPointer, _ own: DType, as dtype: DType, into destination: UnsafeMutableRawBufferPointer
  ) {
    if own != dtype, let from = own.floatFormat, let to = dtype.floatFormat {
      overflows.add(from.convert(raw, to: to, into: destination))
    } else {
      destination.copyMemory(from: raw)
    }
  }

  private func add(
    _ addends: [(expert: Int, info: TensorInfo)], to common: TensorInfo, as info: TensorInfo,
    into destination: UnsafeMutableRawBufferPointer
  ) throws(StorageError) {
    guard let format = common.dtype.floatFormat, let output = info.dtype.floatFormat else {
      preconditionFailure("only float tensors are summed")
    }
    let parts = try addends.map { addend throws(StorageError) in
      WeightedSum.Addend.difference(
        own: try experts[addend.expert].source.bytes(of: addend.info), weight: experts[addend.expert].weight)
    }
    let sum = WeightedSum(parts, to: format, as: output, overflows: overflows)
    try sum.write(try shared.bytes(of: common), into: destination)
  }
}
