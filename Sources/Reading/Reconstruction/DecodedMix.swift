import TMPackByteIO
import TMPackCheckpoints
import TMPackModels
import TMPackTensorKit

/// Experts that the archive keeps as they are, in codes, in other float dtypes than the shared model's, or in floats of 8 bits, as one
/// model of numbers: a mix of them, or one in another dtype.
///
/// Codes can't be added up, and a tensor of another dtype is stored whole, which in a mix would leave the other experts out. So
/// each model is decoded as its scheme's own library decodes it, and rounded to the shared model's dtypes, and an output layer that a model
/// shares with its embedding is that; what is mixed is numbers: see `ModelSum`.
package struct DecodedMix: SourceView {
  package let source: any TensorSource
  package var tensors: [TensorInfo] { source.tensors }
  /// Those of the expert of the greatest weight, with a configuration that knows of no codes.
  package let files: [CarriedContent]
  private let sum: ModelSum

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
      let quantization = try mix.quantization()
      guard !quantization.weights.isEmpty else {
        try quantization.refuse("mixed or converted")
        return mix
      }
      return try DequantizedSource(mix, quantization)
    }
    let original = try numbers(shared, ofModel: 0)
    let base = try WidenedSource(original)
    var sources: [(weight: Float, source: any TensorSource)] = []
    for (index, (weight, mix)) in experts.enumerated() {
      // Names are the shared model's already; dtypes may be those of other schemes.
      var source = try numbers(mix, ofModel: index + 1)
      let name = Self.name(mix.label)
      try WidenedSource.refuseUnknown(source, named: name, against: original, purpose: "mixed")
      source = try WidenedSource(source, among: base)
      source = try MatchedDTypes(source, as: base.tensors) ?? source
      source = try CommonRows(of: source, and: base) ?? source
      sources.append((weight, try PaddedRows(source, toRowsOf: base) ?? source))
    }
    let heaviest = experts.indices.max { (experts[$0].weight, $1) < (experts[$1].weight, $0) }
    let leading = heaviest.map { experts[$0].mix } ?? shared
    let names = experts.map(\.mix.label).map(Self.name)
    sum = try ModelSum(
      base, sources, metadata: leading.metadata,
      label: names.isEmpty ? shared.label : "\(shared.label)#\(names.joined(separator: "+"))", dtype: dtype,
      isKept: { original.tensor(named: $0)?.dtype == .c64 })
    source = NarrowedSource(sum, as: original, keepsWide: dtype != nil)
    var changes = ConfigurationChanges(dtype: dtype?.dtype)
    changes.isDequantized = true
    if untied != nil { changes.tiesEmbeddings = false }
    files = changes.applied(
      to: leading.files.map(\.content).filter {
        QuantizationConfiguration.otherFiles[Self.lastPart(of: $0.name.text)] == nil
      })
  }

  package func unchanged(_ info: TensorInfo) -> TensorInfo? { info }

  package func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try source.read(info, into: destination)
  }

  /// See `Mix.overflowCount`.
  package var overflowCount: Int { sum.overflowCount }

  private static func name(_ label: String) -> String {
    label.firstIndex(of: "#").map { String(label[label.index(after: $0)...]) } ?? label
  }

  private static func lastPart(of name: String) -> String {
    name.lastIndex(of: "/").map { String(name[name.index(after: $0)...]) } ?? name
  }
}
