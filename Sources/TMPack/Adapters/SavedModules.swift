import ByteIO
import TensorKit

/// What of the tensors that no update can hold peft can load whole: modules, in `modules_to_save`, and biases of modules
/// that are updated.
struct SavedModules: Sendable {
  /// Sorted.
  private(set) var modules: [String] = []
  /// With the adapter's names for them, but for the prefix; sorted by the model's names.
  private(set) var tensors: [(name: String, info: TensorInfo)] = []
  private var held: Set<ExactString> = []

  init() {}

  /// - Parameters:
  ///   - others: tensors that no update can hold.
  ///   - mix: all tensors. A module that is saved is saved with all that it has.
  ///   - updated: modules with an update, which cannot be saved.
  init(_ others: [AdapterExport.LeftOut], in mix: Mix, updated: [String]) {
    let updated = Set(updated.map(ExactString.init))
    // The tensors of each module, and modules that have modules within.
    var members: [ExactString: [TensorInfo]] = [:]
    var containers: Set<ExactString> = []
    for info in mix.tensors {
      guard let module = Self.module(of: info.name) else { continue }
      members[ExactString(module), default: []].append(info)
      for dot in module.indices where module[dot] == "." { containers.insert(ExactString(String(module[..<dot]))) }
    }
    for other in others where other.reason != .absent {
      guard let info = mix.tensor(named: other.tensor), info.dtype.floatFormat != nil,
        let module = Self.module(of: info.name)
      else { continue }
      let key = ExactString(module)
      if updated.contains(key) {
        guard info.name.hasSuffix(".bias") else { continue }
        held.insert(ExactString(info.name))
        tensors.append((module + ".base_layer.bias", info))
      } else if !containers.contains(key), let all = members[key], all.allSatisfy({ $0.dtype.floatFormat != nil }) {
        held.insert(ExactString(info.name))
        guard modules.last.map({ !$0.hasSameBytes(as: module) }) ?? true else { continue }
        modules.append(module)
        tensors += all.map { ($0.name, $0) }
      }
    }
  }

  /// Whether a tensor that no update can hold is saved.
  func holds(_ tensor: String) -> Bool { held.contains(ExactString(tensor)) }

  private static func module(of tensor: String) -> String? {
    tensor.lastIndex(of: ".").map { String(tensor[..<$0]) }
  }
}
