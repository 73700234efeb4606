import TMPackByteIO
import TMPackModels
import TMPackReading
import TMPackTensorKit

/// What of the tensors that no update can hold peft can load whole: biases by themselves, with `bias` set to `all`, and
/// else modules with all that they have, in `modules_to_save`.
struct SavedModules: Sendable {
  /// Sorted.
  package private(set) var modules: [String] = []
  /// With the adapter's names for them, but for the prefix.
  package private(set) var tensors: [(name: String, info: TensorInfo)] = []
  private(set) var holdsBiases = false
  private var held: Set<ExactString> = []

  init() {}

  /// - Parameters:
  ///   - others: tensors that no update can hold.
  ///   - mix: all tensors.
  ///   - updated: modules with an update, of which peft can load no other weight.
  ///   - architecture: names tensors as the model has them.
  ///   - heads: names of modules that are saved with the modules in them.
  ///   - ties: what is saved as two modules once it has changed.
  init(
    _ others: [AdapterExport.LeftOut], in mix: Mix, updated: [String], heads: Set<String>,
    _ architecture: ModelArchitecture, _ ties: TiedEmbeddings?
  ) {
    func module(of tensor: String) -> String? {
      architecture.nameInMemory(of: tensor).flatMap { Self.module(of: $0, heads) }
    }
    let updated = Set(updated.map(ExactString.init))
    // The tensors of each module, and modules that have modules within.
    var members: [ExactString: [TensorInfo]] = [:]
    var containers: Set<ExactString> = []
    for info in mix.tensors {
      guard let module = module(of: info.name) else { continue }
      members[ExactString(module), default: []].append(info)
      for dot in module.indices where module[dot] == "." { containers.insert(ExactString(String(module[..<dot]))) }
    }
    var wanted: [ExactString: [TensorInfo]] = [:]
    for other in others where other.reason != .absent && !(ties?.isShared == true && Self.isTied(other.tensor, ties)) {
      guard let info = mix.tensor(named: other.tensor), let module = module(of: info.name) else { continue }
      wanted[ExactString(module), default: []].append(info)
    }
    for (module, infos) in wanted.sorted(by: { $0.key.text.precedesInBytes($1.key.text) }) {
      let all = members[module] ?? []
      let isHead = heads.contains(AdaptableModules.lastComponent(module.text))
      if infos.count == 1, infos[0].name.hasSuffix(".bias"), infos[0].dtype.floatFormat != nil, !isHead {
        holdsBiases = true
        tensors.append((module.text + (updated.contains(module) ? ".base_layer.bias" : ".bias"), infos[0]))
      } else if !updated.contains(module), !containers.contains(module), all.allSatisfy({ $0.dtype.floatFormat != nil })
      {
        modules.append(module.text)
        tensors += all.map { (architecture.nameInMemory(of: $0.name) ?? $0.name, $0) }
        addTiedBias(of: module.text, in: mix)
      } else {
        continue
      }
      held.formUnion(infos.map { ExactString($0.name) })
    }
    if let ties, holds(ties.embedding), mix.tensor(named: ties.head) == nil { addHead(ties, in: mix, architecture) }
  }

  private static func isTied(_ tensor: String, _ ties: TiedEmbeddings?) -> Bool {
    tensor == ties?.embedding || tensor == ties?.head
  }

  /// The output layer that the file lacks, as the embedding is, which peft would save without it otherwise.
  private mutating func addHead(_ ties: TiedEmbeddings, in mix: Mix, _ architecture: ModelArchitecture) {
    guard let name = architecture.nameInMemory(of: ties.head), let module = AdaptableModules.module(of: name),
      let embedding = mix.tensor(named: ties.embedding)
    else { return }
    modules.append(module)
    modules.sort { $0.precedesInBytes($1) }
    tensors.append((name, embedding))
    addTiedBias(of: module, in: mix)
  }

  private mutating func addTiedBias(of module: String, in mix: Mix) {
    let name = module + ".bias"
    guard let bias = TiedEmbeddings.biases.first(where: { $0.head == name }), mix.tensor(named: name) == nil,
      let own = mix.tensor(named: bias.own)
    else { return }
    tensors.append((name, own))
  }

  /// Whether a tensor that no update can hold is saved.
  package func holds(_ tensor: String) -> Bool { held.contains(ExactString(tensor)) }

  private static func module(of tensor: String, _ heads: Set<String>) -> String? {
    let components = tensor.split(separator: ".", omittingEmptySubsequences: false).map(String.init).dropLast()
    let head = components.firstIndex(where: heads.contains)
    return components.isEmpty ? nil : components[...(head ?? components.endIndex - 1)].joined(separator: ".")
  }
}
