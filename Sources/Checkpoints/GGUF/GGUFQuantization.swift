import Synchronization
import TMPackByteIO
import TMPackTensorKit

/// How the matrices of a GGUF file are quantised, and what that has cost.
package struct GGUFQuantization: Sendable {
  /// What they become, where it suits them.
  package let type: GGUFTensorType
  package let importance: ImportanceMatrix?
  package let errors = Errors()

  package init(_ type: GGUFTensorType, importance: ImportanceMatrix? = nil) {
    self.type = type
    self.importance = importance
  }

  /// What each tensor has lost; complete when the file is written.
  package final class Errors: Sendable {
    private let sums = Mutex<[ExactString: (lost: Double, energy: Double)]>([:])

    func add(_ tensor: String, lost: Double, energy: Double) {
      sums.withLock { $0[ExactString(tensor)] = (lost, energy) }
    }

    /// ‖w − ŵ‖ ÷ ‖w‖ of each tensor that was quantised, by name.
    package var byTensor: [(tensor: String, error: Double)] {
      sums.withLock { $0 }.map { ($0.key.text, Self.error($0.value.lost, $0.value.energy)) }
        .sorted { $0.tensor.precedesInBytes($1.tensor) }
    }

    /// Of all together.
    package var total: Double {
      let all = sums.withLock { $0.values.sorted { $0.energy < $1.energy } }
      return Self.error(all.reduce(0) { $0 + $1.lost }, all.reduce(0) { $0 + $1.energy })
    }

    private static func error(_ lost: Double, _ energy: Double) -> Double {
      energy > 0 ? (lost / energy).squareRoot() : 0
    }
  }
}
