import ByteIO
import TensorKit

/// Which tensors of a base an adapter means.
///
/// Names are the same, but for a prefix that one of both may have: a head's model calls `h.0.attn` of the bare one
/// `transformer.h.0.attn`. One prefix, put in front of all names or taken away from all, must do for every update.
package struct AdapterTargets: Sendable {
  package enum Prefix: Sendable, Hashable {
    case same
    /// The base's names have it, the adapter's not.
    case added(String)
    /// The adapter's names have it, the base's not.
    case removed(String)
  }

  package struct Update: Sendable {
    package let update: LoRAAdapter.Update
    package let base: TensorInfo
    /// Whether the base's weight is [inputs, outputs].
    package let isTransposed: Bool
  }

  package let prefix: Prefix
  /// By the name of the base's tensor.
  package let updates: [(name: String, update: Update)]
  /// Names as the base has them, or would have them; `base` is nil for a tensor that it lacks.
  package let wholeTensors: [(name: String, info: TensorInfo, base: TensorInfo?)]

  /// - Throws: `shapeMismatch` for an update of a tensor that the base lacks, or has in another shape;
  ///   `unsupportedFeature` when it cannot be told whether a square weight is transposed.
  package init(of adapter: LoRAAdapter, in base: any TensorSource) throws(StorageError) {
    let wanted = adapter.updates.map { $0.module + ".weight" }
    let known = adapter.wholeTensors.map(\.name)
    let prefix = Self.prefix(wanted.isEmpty ? known : wanted, in: base)
    self.prefix = prefix
    var oriented: [(name: String, update: LoRAAdapter.Update, base: TensorInfo, orientation: Bool?)] = []
    for (update, name) in zip(adapter.updates, wanted) {
      try located(file: adapter.source.label, tensor: update.a.name) { () throws(StorageError) in
        guard let info = Self.find(name, prefix, in: base) else {
          throw StorageError(.shapeMismatch, "changes \(name), which is not in \(base.label)")
        }
        oriented.append((info.name, update, info, try Self.orientation(of: update, on: info)))
      }
    }
    // Where rows and columns differ in number, shapes tell; they also tell whether to believe the configuration elsewhere.
    let told = Set(oriented.filter { !$0.update.isEmbedding }.compactMap(\.orientation))
    let assumed = adapter.configuration.isTransposed
    updates = try oriented.map { target throws(StorageError) in
      if let orientation = target.orientation {
        return (target.name, Update(update: target.update, base: target.base, isTransposed: orientation))
      }
      guard told.isSubset(of: [assumed]) else {
        throw StorageError(
          .unsupportedFeature,
          "is of a square weight, and neither \"fan_in_fan_out\" nor the other shapes tell whether it is transposed",
          file: adapter.source.label, tensor: target.update.a.name)
      }
      return (target.name, Update(update: target.update, base: target.base, isTransposed: assumed))
    }
    wholeTensors = adapter.wholeTensors.map { whole in
      let found = Self.find(whole.name, prefix, in: base)
      return (found?.name ?? whole.name, whole.info, found)
    }
    try checkUnique(adapter.source.label)
  }

  private func checkUnique(_ file: String) throws(StorageError) {
    for names in [updates.map(\.name), wholeTensors.map(\.name)] {
      var seen: Set<ExactString> = []
      for name in names where !seen.insert(ExactString(name)).inserted {
        throw StorageError(.malformed, "is meant twice", file: file, tensor: name)
      }
    }
  }

  /// A model has its layers behind one prefix, or a few.
  private static let mostPrefixes = 64

  /// How the names differ, judged by all of them.
  private static func prefix(_ names: [String], in base: any TensorSource) -> Prefix {
    guard let stray = names.first(where: { base.tensor(named: $0) == nil }) else { return .same }
    // What would make the one name fit; the one that makes the most names fit is meant.
    let shorter = stray.indices.filter { stray[$0] == "." }.map { Prefix.removed(String(stray[...$0])) }
    let longer = base.tensors.lazy.map(\.name).filter { $0.hasSuffix("." + stray) }.map {
      Prefix.added(String($0.dropLast(stray.count)))
    }
    func count(_ prefix: Prefix) -> Int { names.count { find($0, prefix, in: base) != nil } }
    let best = (shorter + longer.prefix(mostPrefixes)).map { (prefix: $0, count: count($0)) }
      .max { $0.count < $1.count }
    guard let best, best.count > count(.same) else { return .same }
    return best.prefix
  }

  private static func find(_ name: String, _ prefix: Prefix, in base: any TensorSource) -> TensorInfo? {
    switch prefix {
    case .same: base.tensor(named: name)
    case .added(let prefix): base.tensor(named: prefix + name) ?? base.tensor(named: name)
    case .removed(let prefix):
      (name.hasPrefix(prefix) ? base.tensor(named: String(name.dropFirst(prefix.count))) : nil)
        ?? base.tensor(named: name)
    }
  }

  /// Whether `info` is transposed; nil where both would fit.
  private static func orientation(of update: LoRAAdapter.Update, on info: TensorInfo) throws(StorageError) -> Bool? {
    guard info.dtype.floatFormat != nil else {
      throw StorageError(.unsupportedFeature, "changes \(info.name) of dtype \(info.dtype.rawValue)")
    }
    let dimensions = info.shape.dimensions
    let fits = dimensions == [update.outputs] + update.a.shape.dimensions.dropFirst()
    let fitsTransposed = dimensions == [update.inputs, update.outputs] && update.a.shape.dimensions.count == 2
    switch (fits && !update.isEmbedding, fitsTransposed) {
    case (true, true): return nil
    case (true, false): return false
    case (false, true): return true
    case (false, false):
      throw StorageError(
        .shapeMismatch,
        "B · A is [\(update.outputs), \(update.inputs)]\(update.isEmbedding ? ", transposed," : "") and does not fit \(info.name) \(info.shape)"
      )
    }
  }
}
