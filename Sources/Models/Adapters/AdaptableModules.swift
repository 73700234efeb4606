import TMPackByteIO
import TMPackTensorKit

/// What kinds of modules a model's weights belong to, as far as names and shapes tell.
package struct AdaptableModules: Sendable {
  package enum Kind: Sendable {
    /// A weight of [outputs, inputs].
    case linear
    /// A weight of [inputs, outputs]: `Conv1D` of GPT-2.
    case transposed
    /// A weight of [tokens, width].
    case embedding
    /// A weight of [outputs, inputs, height, width].
    case convolution
  }

  private let embeddings: [Glob]
  /// Modules with a bias, which no embedding has.
  private let biased: Set<ExactString>
  /// Last components of modules whose weights are transposed.
  private let transposed: Set<String>
  /// Components of the names of modules that cannot be updated.
  private let heads: Set<String>

  package static let weightSuffix = ".weight"
  static let biasSuffix = ".bias"

  /// Embeddings whose classes call their rows otherwise than by numbers, so that peft's updates of them fail.
  private static let positions = "embed_positions"

  /// Where `transformers` and `diffusers` have embeddings.
  package static let usualEmbeddings = [
    "*embed_tokens", "*embeddings", "*embedding", "*embed_in", "*wte", "*wpe", "*wtt", "*.shared", "shared",
    "*relative_attention_bias", "*positions_embed", "*embed_global", "*segment_emb", "*column_embedder",
    "*row_embedder", "*visual_embeddings_table", "*audio_bos_eos_token",
  ]

  /// - Parameters:
  ///   - tensors: of the whole model. Where a bias is as long as the columns of a weight that is not square, the weight is
  ///     transposed, and so are those of all modules whose names end alike.
  ///   - embeddings: patterns of the modules that are embeddings.
  ///   - heads: names of modules that peft keeps whole, with all that is in them.
  package init(in tensors: [TensorInfo], embeddings: [Glob], heads: Set<String>) {
    self.embeddings = embeddings
    self.heads = heads
    biased = Set(
      tensors.filter { $0.name.hasSuffix(Self.biasSuffix) }.map {
        ExactString(String($0.name.dropLast(Self.biasSuffix.count)))
      })
    var transposed: Set<String> = []
    for info in tensors {
      let dimensions = info.shape.dimensions
      guard dimensions.count == 2, dimensions[0] != dimensions[1], let module = Self.module(of: info.name),
        let bias = tensors.index(ofTensor: module + Self.biasSuffix).map({ tensors[$0] }),
        bias.shape.dimensions == [dimensions[1]]
      else { continue }
      transposed.insert(Self.lastComponent(module))
    }
    self.transposed = transposed
  }

  /// The module whose weight a tensor is.
  package static func module(of tensor: String) -> String? {
    tensor.hasSuffix(weightSuffix) ? String(tensor.dropLast(weightSuffix.count)) : nil
  }

  package static func lastComponent(_ module: String) -> String {
    module.lastIndex(of: ".").map { String(module[module.index(after: $0)...]) } ?? module
  }

  /// The kind of a weight's module; nil for what no LoRA adapts.
  package func kind(of info: TensorInfo) -> Kind? {
    guard let module = Self.module(of: info.name), info.dtype.floatFormat != nil, info.shape.elementCount > 0,
      !module.split(separator: ".").contains(where: { heads.contains(String($0)) }),
      Self.lastComponent(module) != Self.positions
    else { return nil }
    switch info.shape.dimensions.count {
    case 2:
      if !biased.contains(ExactString(module)), embeddings.contains(where: { $0.matches(module) }) { return .embedding }
      return transposed.contains(Self.lastComponent(module)) ? .transposed : .linear
    case 4: return .convolution
    default: return nil
    }
  }
}
