import TMPackByteIO
import TMPackCheckpoints
import TMPackModels
import TMPackTensorKit

/// Experts that the archive keeps as they are, in codes or in other float dtypes than the shared model's, as one model of numbers: a
/// mix of them, or one in another dtype.
///
/// Codes can't be added up, and a tensor of another dtype is stored whole, which in a mix would leave the other experts out. So
/// each model is decoded as its scheme's own library decodes it, and rounded to the shared model's dtypes, and an output layer that a model
/// shares with its embedding is that; what is mixed is numbers,
/// by the rules of section 7 of the format: θ = θₛ + Σ wₜ · (θₜ − θₛ) in binary32 (F64: binary64), in declaration order, rounded
/// once. What the shared model lacks, or has in another shape, is the decider's.
///
/// Memory while reading a tensor: its numbers once for each expert, and once more.
package struct DecodedMix: TensorSource {
  package let tensors: [TensorInfo]
  package let metadata: [String: String]
  package let label: String
  /// Those of the expert of the greatest weight, with a configuration that knows of no codes.
  package let files: [CarriedContent]
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
  ///   - shared: the shared model; `experts` with weights other than 0, each alone and to the bit, in declaration order.
  ///   - untied: which of these, the shared model first, lack an output layer that others have; nil where all agree.
  ///   - dtype: of tensors of float dtypes; nil leaves each its own.
  /// - Throws: `unsupportedFeature`, naming scheme and tensor, for codes that are not decoded here; `malformed`.
  init(
    _ shared: Mix, _ experts: [(weight: Float, mix: Mix)], untied: UntiedModels?, dtype: FloatFormat?
  ) throws(StorageError) {
    func numbers(_ mix: Mix, ofModel index: Int) throws(StorageError) -> any TensorSource {
      let source = try decoded(mix)
      return try untied?.view(source, ofModel: index) ?? source
    }
    func decoded(_ mix: Mix) throws(StorageError) -> any TensorSource {
      let quantization = try Quantization(of: mix, files: mix.files.map(\.content))
      guard !quantization.weights.isEmpty else {
        try quantization.refuse("mixed or converted")
        return mix
      }
      return try DequantizedSource(mix, quantization)
    }
    let heaviest = experts.indices.max { (experts[$0].weight, $1) < (experts[$1].weight, $0) }
    let base = try numbers(shared, ofModel: 0)
    var sources: [(weight: Float, source: any TensorSource)] = []
    for (index, (weight, mix)) in experts.enumerated() {
      // Names are the shared model's already; dtypes may be those of other schemes.
      var source = try numbers(mix, ofModel: index + 1)
      source = try MatchedDTypes(source, as: base.tensors) ?? source
      source = try CommonRows(of: source, and: base) ?? source
      sources.append((weight, try PaddedRows(source, toRowsOf: base) ?? source))
    }
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
      let asked = info.dtype.floatFormat == nil ? nil : dtype?.dtype
      infos.append(try TensorInfo(name: info.name, dtype: asked ?? info.dtype, shape: info.shape))
      origins[name] = origin
    }
    tensors = infos.sortedByName()
    self.origins = origins
    self.shared = base
    self.experts = sources
    let leading = heaviest.map { experts[$0].mix } ?? shared
    metadata = leading.metadata
    label =
      experts.isEmpty
      ? shared.label : "\(shared.label)#\(experts.map(\.mix.label).map(Self.name).joined(separator: "+"))"
    var changes = ConfigurationChanges(dtype: dtype?.dtype)
    changes.isDequantized = true
    if untied != nil { changes.tiesEmbeddings = false }
    files = changes.applied(
      to: leading.files.map(\.content).filter {
        QuantizationConfiguration.otherFiles[Self.lastPart(of: $0.name.text)] == nil
      })
  }

  private static func name(_ label: String) -> String {
    label.firstIndex(of: "#").map { String(label[label.index(after: $0)...]) } ?? label
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

  private static func lastPart(of name: String) -> String {
    name.lastIndex(of: "/").map { String(name[name.index(after: $0)...]) } ?? name
  }

  package var notes: [String] { shared.notes + experts.flatMap(\.source.notes) }

  /// See `Mix.overflowCount`.
  package var overflowCount: Int { overflows.value }

  package func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    guard let origin = origins[ExactString(info.name)] else {
      preconditionFailure("not a tensor of this mix: \(info.name)")
    }
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
