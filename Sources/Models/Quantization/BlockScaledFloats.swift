import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackTensorKit

/// A model's matrices as E4M3 with a scale for each block of 128 by 128, as DeepSeek's checkpoints have them, and vLLM and transformers
/// load them.
///
/// What becomes so are the weights of linear layers whose sides are whole blocks: vLLM 0.33 has no others, and transformers 5.24
/// takes blocks of another size where the last ones are smaller. Embeddings, output layers and what chooses experts stay as they
/// are, and where a layer that vLLM fuses with others does, so do those.
package struct BlockScaledFloats {
  package let source: RequantizedSource
  /// Those that travel with the model; `config.json` says what has become of it.
  package let files: [CarriedContent]
  /// Of matrices that stay as they are.
  package let kept: [String]
  package let count: Int

  private static let side = 128
  private static let scaleSuffix = "_scale_inv"
  /// Parts of one matrix in vLLM.
  private static let fused = [["q_proj", "k_proj", "v_proj"], ["gate_proj", "up_proj"], ["w1", "w3"]]
  private static let heads: Set<String> = [
    "lm_head", "embed_out", "output", "score", "classifier", "qa_outputs", "gate", "router", "shared_expert_gate",
  ]

  /// - Parameter source: the model as numbers.
  /// - Throws: `invalidArgument` without a `config.json`, or a matrix that could become so.
  package init(_ source: any TensorSource, files: [CarriedContent]) throws(StorageError) {
    guard let file = files.first(where: { $0.name.text == ConfigurationChanges.fileName }),
      var configuration = ConfigurationText(try file.bytes())
    else {
      throw StorageError(
        .invalidArgument, "has no config.json, where FP8 with scales has to be said: give the model's folder",
        file: source.label)
    }
    let embeddings = try AdaptableModules.usualEmbeddings.map { text throws(StorageError) in try Glob(text) }
    let kinds = AdaptableModules(in: source.tensors, embeddings: embeddings, heads: Self.heads)
    let matrices = source.tensors.filter { info in
      info.shape.dimensions.count >= 2 && info.dtype.floatFormat != nil && kinds.kind(of: info) != .embedding
    }
    var chosen = Set(
      matrices.filter {
        kinds.kind(of: $0) == .linear && $0.shape.dimensions.allSatisfy { $0.isMultiple(of: Self.side) }
      }
      .map { ExactString($0.name) })
    for info in matrices where !chosen.contains(ExactString(info.name)) {
      for name in Self.partners(of: info.name) { chosen.remove(ExactString(name)) }
    }
    guard !chosen.isEmpty else {
      throw StorageError(
        .invalidArgument, "has no linear layer of whole blocks of \(Self.side) by \(Self.side)", file: source.label)
    }
    kept = matrices.filter { !chosen.contains(ExactString($0.name)) }.map(\.name)
    count = chosen.count
    let modules = kept.compactMap(AdaptableModules.module)
    configuration.set(
      "quantization_config",
      to: [
        "quant_method": "fp8", "activation_scheme": "dynamic", "fmt": "e4m3",
        "weight_block_size": [JSONValue(Self.side), JSONValue(Self.side)],
        "modules_to_not_convert": .array(modules.map { .string($0) }),
      ])
    let text = configuration.bytes
    self.files = files.map { other in
      other.name == file.name ? CarriedContent(file.name) { () throws(StorageError) in text } : other
    }
    let layout = try Layout(of: source, chosen)
    self.source = try RequantizedSource(
      source, as: layout, Quantization(of: layout, files: self.files.filter { $0.name == file.name }))
  }

  /// What a weight becomes a part of the same matrix with.
  private static func partners(of tensor: String) -> [String] {
    guard let module = AdaptableModules.module(of: tensor) else { return [] }
    let last = AdaptableModules.lastComponent(module)
    return fused.filter { $0.contains(last) }.flatMap { $0 }.map {
      module.dropLast(last.count) + $0 + AdaptableModules.weightSuffix
    }
  }

  /// The tensors that the model will have, of which nobody reads any.
  private struct Layout: TensorSource {
    let tensors: [TensorInfo]
    let label: String

    init(of source: any TensorSource, _ chosen: Set<ExactString>) throws(StorageError) {
      label = source.label
      var tensors: [TensorInfo] = []
      for info in source.tensors {
        guard chosen.contains(ExactString(info.name)) else {
          tensors.append(info)
          continue
        }
        tensors.append(try TensorInfo(name: info.name, dtype: .f8e4m3, shape: info.shape))
        tensors.append(
          try TensorInfo(
            name: info.name + scaleSuffix, dtype: .f32,
            shape: Shape(info.shape.dimensions.map { $0 / side })))
      }
      self.tensors = tensors.sortedByName()
    }

    func read(_: TensorInfo, into _: UnsafeMutableRawBufferPointer) {}
  }
}
