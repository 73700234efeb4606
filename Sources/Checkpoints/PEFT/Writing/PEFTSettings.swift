import TMPackByteIO
import TMPackJSON

/// What peft's configuration says of ranks and α of an adapter's modules.
package struct PEFTSettings: Sendable {
  /// What holds of modules that no pattern names.
  package let rank: Int
  package let alpha: Double
  private let modules: [(name: String, rank: Int, alpha: Double)]

  /// - Parameter rank: the largest, if something else has a larger one.
  package init(_ modules: [(name: String, rank: Int, alpha: Double)], rank: Int? = nil) {
    self.modules = modules
    let own = modules.map(\.rank).max() ?? 1
    self.rank = rank ?? own
    alpha = rank.map(Double.init) ?? modules.first { $0.rank == own }?.alpha ?? Double(own)
  }

  /// Whether patterns are needed.
  package var haveDifferences: Bool { modules.contains { $0.rank != rank || $0.alpha != alpha } }

  /// Whether peft could take one module's pattern for another's: where a whole name is the end of another one. Of routers, which
  /// are no `Linear` in transformers 5, peft 0.21.2 forgets the pattern.
  package var areAmbiguous: Bool {
    let routers: Set<String> = ["gate", "router"]
    if modules.contains(where: { module in
      let last = module.name.lastIndex(of: ".").map { module.name[module.name.index(after: $0)...] } ?? module.name[...]
      return routers.contains(String(last)) && (module.rank != rank || module.alpha != alpha)
    }) {
      return true
    }
    let own = Dictionary(modules.map { (ExactString($0.name), $0) }) { first, _ in first }
    return modules.contains { module in
      module.name.indices.contains { dot in
        guard module.name[dot] == "." else { return false }
        let end = ExactString(String(module.name[module.name.index(after: dot)...]))
        return own[end].map { $0.rank != module.rank || $0.alpha != module.alpha } ?? false
      }
    }
  }

  /// With the members that all versions of peft since 0.4 know, but for the patterns.
  ///
  /// - Parameter uniform: what all modules have instead.
  package func members(uniform: (rank: Int, alpha: Double)? = nil) -> JSONObject {
    [
      "base_model_name_or_path": .null, "bias": "none", "fan_in_fan_out": false, "inference_mode": true,
      "init_lora_weights": true, "layers_pattern": .null, "layers_to_transform": .null,
      "lora_alpha": Self.number(uniform?.alpha ?? alpha), "lora_dropout": .number(0), "modules_to_save": .null,
      "peft_type": "LORA", "r": JSONValue(uniform?.rank ?? rank), "revision": .null, "target_modules": .null,
      "task_type": .null,
    ]
  }

  package func addPatterns(to object: inout JSONObject) {
    guard haveDifferences else { return }
    object["rank_pattern"] = .object(
      JSONObject(modules.filter { $0.rank != rank }.map { ($0.name, JSONValue($0.rank)) }))
    object["alpha_pattern"] = .object(
      JSONObject(modules.filter { $0.alpha != alpha }.map { ($0.name, Self.number($0.alpha)) }))
  }

  private static func number(_ value: Double) -> JSONValue {
    Int(exactly: value).map { JSONValue($0) } ?? .number(value)
  }
}
