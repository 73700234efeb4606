import TMPackCheckpoints
import TMPackJSON
import TMPackTensorKit

/// What a model's `config.json` tells of how `transformers` names its modules.
package struct ModelArchitecture: Sendable {
  /// As `architectures` has it first: `LlamaForCausalLM`.
  package let name: String
  /// `llama`
  package let modelType: String
  /// How many rows of a projection are one head of attention; nil where nothing says it.
  package private(set) var headWidth: Int?

  init(name: String, modelType: String) { (self.name, self.modelType) = (name, modelType) }

  /// - Parameter configuration: the bytes of `config.json`; what cannot be understood tells nothing.
  package init(configuration: [UInt8]?) {
    var name = ""
    var modelType = ""
    if let configuration, case .object(let object)? = try? JSONValue(parsing: configuration) {
      headWidth = Self.headWidth(object)
      if case .array(let names) = object["architectures"], case .string(let first)? = names.first { name = first }
      if case .string(let type) = object["model_type"] { modelType = type }
    }
    self.name = name
    self.modelType = modelType
  }

  /// Of a model folder.
  package init(of checkpoint: Checkpoint) { self.init(in: checkpoint.carriedFiles.map(\.content)) }

  /// - Parameter files: those that travel with the model's tensors.
  package init(in files: [CarriedContent]) {
    func text(_ name: String) -> [UInt8]? { files.first { $0.name.text == name }.flatMap { try? $0.bytes() } }
    self.init(configuration: text("config.json"))
    // Beside Meta's and Mistral's own files.
    if headWidth == nil, let text = text("params.json"), case .object(let object)? = try? JSONValue(parsing: text) {
      headWidth = Self.headWidth(object)
    }
  }

  private static func headWidth(_ object: JSONObject) -> Int? {
    func count(_ names: String...) -> Int? {
      names.lazy.compactMap { if case .integer(let value) = object[$0] { Int(exactly: value) } else { nil } }.first
    }
    if let own = count("head_dim") { return own }
    if let width = count("hidden_size", "dim"), let heads = count("num_attention_heads", "n_heads"), heads > 0 {
      return width / heads
    }
    if case .object(let text)? = object["text_config"] { return headWidth(text) }
    return nil
  }

  /// Class and type, as the table of names has them, the one that counts first: a type that is no class's, such as EXAONE's, is loaded
  /// by another model's class, and has names of its own on disk.
  package var names: [String] {
    let isOfNoClass =
      NameTable.shared.namings[modelType].map { $0.allSatisfy { $0.architecture == modelType } } ?? false
    return (isOfNoClass ? [modelType, name] : [name, modelType]).filter { !$0.isEmpty }
  }

  private var naming: NameTable.Naming? { names.lazy.compactMap { NameTable.shared.namings[$0]?.first }.first }

  /// A tensor as the model in memory names it, by its name on disk or in memory; nil for one that is only a part of a tensor there.
  package func nameInMemory(of tensor: String) -> String? {
    guard let naming else { return tensor }
    guard case .whole(let name) = naming.role(of: tensor).role else { return nil }
    return name
  }

  /// peft's `TaskType` for the model's head.
  package var taskType: String? {
    let heads = [
      ("ForCausalLM", "CAUSAL_LM"), ("LMHeadModel", "CAUSAL_LM"), ("ForSequenceClassification", "SEQ_CLS"),
      ("ForConditionalGeneration", "SEQ_2_SEQ_LM"), ("ForTokenClassification", "TOKEN_CLS"),
      ("ForQuestionAnswering", "QUESTION_ANS"),
    ]
    return heads.first { name.hasSuffix($0.0) }?.1
  }

  /// The class of the same model with the head of a task that tells labels apart, which it may have already; nil of other tasks, and of
  /// models whose class is not known.
  func classifier(forTask task: String?) -> String? {
    if Self.telling.contains(where: name.hasSuffix) { return name }
    let head: String
    switch task {
    case "SEQ_CLS": head = "ForSequenceClassification"
    case "TOKEN_CLS": head = "ForTokenClassification"
    default: return nil
    }
    let others = ["ForCausalLM", "LMHeadModel", "ForMaskedLM", "ForPreTraining", "ForConditionalGeneration", "Model"]
    guard let ending = others.first(where: name.hasSuffix) else { return nil }
    return name.dropLast(ending.count) + head
  }

  /// Ends of names of classes that tell labels apart.
  private static let telling = [
    "ForSequenceClassification", "ForTokenClassification", "ForImageClassification", "ForAudioClassification",
  ]

  /// Modules that peft's classes for a task keep whole by themselves, and on which an update would be lost.
  package static func heads(ofTask task: String?) -> Set<String> {
    switch task {
    case "SEQ_CLS", "TOKEN_CLS": ["classifier", "score"]
    case "QUESTION_ANS": ["qa_outputs"]
    default: []
    }
  }

  /// Modules that peft 0.21.2 refuses to update: their kernels pass over what is not the weight.
  package var unadaptable: Set<String> {
    ["falcon_h1", "mamba", "mamba2", "falcon_mamba", "nemotron_h"].contains(modelType) ? ["out_proj", "conv1d"] : []
  }

  /// Modules that peft 0.21.2 passes over or refuses as targets, in a model whose experts are one tensor in memory: they are called as
  /// the experts' projections, which it takes them for, or are routers that are no Linear.
  ///
  /// - Parameter tensors: the model's.
  /// - Returns: names as in memory.
  package func takenForExperts(_ tensors: [TensorInfo]) -> Set<String> {
    func isExpert(_ info: TensorInfo) -> Bool { info.name.contains(".experts.") }
    guard
      tensors.contains(where: { isExpert($0) && ($0.shape.dimensions.count == 3 || nameInMemory(of: $0.name) == nil) })
    else { return [] }
    let modules = tensors.filter { !isExpert($0) }
      .compactMap { nameInMemory(of: $0.name).flatMap(AdaptableModules.module) }
    // peft's own table of targets goes by these families of names.
    let family = naming?.key.split(separator: " ").first
    return Set(
      modules.filter { module in
        switch AdaptableModules.lastComponent(module) {
        case "gate", "router": family != "qwen2_moe" && family != "mixtral"
        case "gate_proj", "up_proj", "down_proj": family == "qwen2_moe"
        default: false
        }
      })
  }

  /// `base_model_prefix` of models whose checkpoints are often kept without it.
  private static let prefixes: [(prefix: String, modelTypes: Set<String>)] = [
    ("transformer.", ["gpt2", "gpt_neo", "gptj", "gpt_bigcode", "bloom", "falcon", "codegen"]),
    ("bert.", ["bert"]), ("roberta.", ["roberta", "xlm-roberta", "camembert"]), ("distilbert.", ["distilbert"]),
    ("electra.", ["electra"]), ("deberta.", ["deberta", "deberta-v2"]), ("gpt_neox.", ["gpt_neox"]),
    ("model.", ["llama", "mistral", "mixtral", "qwen2", "qwen3", "gemma", "gemma2", "phi", "phi3", "opt"]),
  ]

  /// What the modules' names in the model have in front of the tensors' names in the checkpoint.
  ///
  /// A checkpoint of the bare model, such as GPT-2's on the hub, loads into a model with a head, whose names are longer.
  package func modulePrefix(of tensors: [String]) -> String {
    // A bare model is called `BertModel`.
    guard !name.isEmpty, !name.hasSuffix("Model") || name.hasSuffix("LMHeadModel"),
      let prefix = Self.prefixes.first(where: { $0.modelTypes.contains(modelType) })?.prefix,
      !tensors.contains(where: { $0.hasPrefix(prefix) })
    else { return "" }
    return prefix
  }
}
