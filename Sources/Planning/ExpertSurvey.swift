import TMPackByteIO
import TMPackMerging
import TMPackTensorKit

/// What the headers and a few bytes of an expert's tensors say.
package struct ExpertSurvey: Sendable {
  package internal(set) var findings = PlanFindings()
  /// Names of the tensors that were seen to differ from the reference's, or could not be looked at.
  private(set) var differing: Set<ExactString> = []

  /// Tensors up to this size are compared whole.
  private static let wholeSize = 64 << 10
  /// Of larger ones, so many pieces are compared, the first and the last among them.
  private static let pieces = 4
  private static let pieceSize = 4096

  /// - Parameter reference: the base, or the given shared model.
  package init(of source: any TensorSource, against reference: any TensorSource) throws(StorageError) {
    findings.ties = source.ties
    findings.dtypes = source.dtypeCounts
    findings.absentFromExpert = reference.tensors.map(\.name).filter { source.tensor(named: $0) == nil }
    for info in source.tensors {
      if info.dtype.floatFormat == nil { findings.notFloat.append(info.name) }
      guard let shared = reference.tensor(named: info.name) else {
        findings.absentFromShared.append(info.name)
        continue
      }
      if shared.shape != info.shape {
        findings.resized.append(.init(name: info.name, shape: info.shape, sharedShape: shared.shape))
      } else if shared.dtype != info.dtype {
        findings.otherDType.append(info.name)
      } else if try Self.looksEqual(info, source, reference) {
        if info.byteCount <= Self.wholeSize {
          findings.unchanged.certain.append(info.name)
        } else {
          findings.unchanged.likely.append(info.name)
        }
        continue
      }
      differing.insert(ExactString(info.name))
    }
  }

  package func differs(_ name: String) -> Bool { differing.contains(ExactString(name)) }

  private static func looksEqual(
    _ info: TensorInfo, _ source: any TensorSource, _ reference: any TensorSource
  ) throws(StorageError) -> Bool {
    for range in ranges(of: info.byteCount) {
      guard let own = try located(file: source.label, { () throws(StorageError) in try source.piece(range, of: info) }),
        let shared = try located(
          file: reference.label,
          { () throws(StorageError) in
            try reference.piece(range, of: info)
          }), own == shared
      else { return false }
    }
    return true
  }

  private static func ranges(of size: Int) -> [Range<Int>] {
    if size <= wholeSize { return [0..<size] }
    return (0..<pieces).map { index in
      let start = (size - pieceSize) / (pieces - 1) * index
      return start..<start + pieceSize
    }
  }

  /// Puts a tensor that was read whole where it belongs.
  mutating func learn(_ name: String, isUnchanged: Bool) {
    guard let index = findings.unchanged.likely.firstIndex(where: { $0.hasSameBytes(as: name) }) else { return }
    findings.unchanged.likely.remove(at: index)
    if isUnchanged { findings.unchanged.certain.append(name) }
  }
}

extension TensorSource {
  /// Tensors of each dtype, the most frequent first.
  package var dtypeCounts: [(dtype: DType, tensors: Int)] {
    var counts: [DType: Int] = [:]
    for info in tensors { counts[info.dtype, default: 0] += 1 }
    return counts.map { (dtype: $0.key, tensors: $0.value) }
      .sorted { ($1.tensors, $1.dtype.writingRank) < ($0.tensors, $0.dtype.writingRank) }
  }
}
