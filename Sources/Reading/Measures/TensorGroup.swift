import TMPackArchiveFormat

/// By what an expert's tensors are taken together.
package enum TensorGrouping: String, Sendable, CaseIterable {
  case layer, kind

  /// nil for tensors outside of the layers.
  fileprivate func name(_ place: TensorPlace) -> String? {
    switch self {
    case .layer: place.layer.map(String.init)
    case .kind: place.kind
    }
  }
}

/// Tensors of an expert that are in one layer, or of one kind.
package struct TensorGroup: Sendable {
  /// nil for tensors outside of the layers.
  package let name: String?
  package private(set) var tensors = 0
  package private(set) var rawBytes = 0
  /// ‖v‖² and ‖v − decoded‖² of those that are approximated.
  private var (energy, lostEnergy) = (0.0, 0.0)

  /// ‖v − decoded‖ ÷ ‖v‖ of all together; nil where none is approximated.
  package var error: Double? {
    energy > 0 && energy.isFinite && lostEnergy.isFinite ? (lostEnergy / energy).squareRoot() : nil
  }

  private init(name: String?) { self.name = name }

  private mutating func add(_ entry: ExpertEntry) {
    tensors += 1
    rawBytes += entry.rawBytes
    energy += entry.measures.map { $0.norm.value * $0.norm.value } ?? 0
    lostEnergy += entry.lostEnergy
  }

  /// Layers by their numbers, kinds in the order of the tensors.
  static func groups(of entries: some Sequence<ExpertEntry>, by grouping: TensorGrouping) -> [TensorGroup] {
    var positions: [String?: Int] = [:]
    var groups: [TensorGroup] = []
    for entry in entries {
      let name = grouping.name(TensorPlace(entry.name))
      let position = positions[name] ?? groups.count
      if position == groups.count {
        positions[name] = position
        groups.append(TensorGroup(name: name))
      }
      groups[position].add(entry)
    }
    guard grouping == .layer else { return groups }
    return groups.sorted { $0.name.flatMap(Int.init) ?? -1 < $1.name.flatMap(Int.init) ?? -1 }
  }

  /// Its share of what all of the expert's tensors lose.
  ///
  /// - Parameter all: their `lostEnergy`.
  package func shareOfLoss(_ all: Double) -> Double? { all > 0 && all.isFinite ? lostEnergy / all : nil }
}

extension ExpertEntry {
  /// Bytes of its payload before they are compressed.
  package var rawBytes: Int { content.reduce(0) { $0 + $1.size } }

  /// ‖v − decoded‖²; 0 for what is kept exactly.
  package var lostEnergy: Double {
    guard let measures else { return 0 }
    let lost = measures.norm.value * measures.error.value
    return lost * lost
  }

  /// Its share of what all of the expert's tensors lose; nil for what is kept exactly.
  ///
  /// - Parameter all: their `lostEnergy`.
  package func shareOfLoss(_ all: Double) -> Double? {
    measures != nil && all > 0 && all.isFinite ? lostEnergy / all : nil
  }

  /// The most components that a matrix of that shape can have; nil where the factor is not one product.
  package func fullRank(_ shape: [Int]) -> Int? {
    guard let form = factor.form, form.rank != nil, form.stack == nil, shape.count > 1, shape.allSatisfy({ $0 > 0 })
    else { return nil }
    return min(shape[0], shape[1...].reduce(1, *))
  }
}

extension ExpertManifest {
  /// ‖v − decoded‖² of all tensors together.
  package var lostEnergy: Double { tensors.reduce(0) { $0 + $1.lostEnergy } }
}
