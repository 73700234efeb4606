import TMPackArchiveFormat
import TMPackByteIO

/// MagMax: of each element the greatest change by magnitude (Marczak et al., 2024, arXiv 2407.06322); θ₀ + λ times it.
///
/// Of changes that are as great the last expert's is taken, as in the authors' code.
struct MagMax: MergingMethod {
  package static let kind = MergingMethodKind(
    "magmax", "Of each element, the greatest change.", paper: "Marczak et al. 2024, arXiv 2407.06322",
    settings: [.lambda(default: 0.5)]
  ) { settings throws(StorageError) in MagMax(scale: settings.number("lambda"), record: settings.record) }

  private let scale: Double
  package let record: SharedMethod

  func merge(_ group: TensorGroup, into merged: MergedTensor) throws(StorageError) {
    try group.forEachFiniteTaskVectorChunk { chunk throws(StorageError) in
      let result = chunk.result
      _ = result.update(fromContentsOf: chunk.members[0])
      for part in chunk.members.dropFirst() {
        for i in part.indices { result[i] = part[i].magnitude >= result[i].magnitude ? part[i] : result[i] }
      }
      chunk.addBase(scaledBy: scale)
      try merged.writeResult(of: chunk)
    }
  }
}
