import TMPackByteIO
import TMPackTensorKit

/// What was measured of the experts on data: `Spec/merging-statistics.md`.
extension MergeSources {
  /// Throws when an expert has no statistics, or none under the name of a tensor of the base followed by `suffix`: then
  /// the file is another method's, or another model's.
  func checkStatistics(suffix: String) throws(StorageError) {
    for expert in experts {
      guard let source = expert.statistics else {
        throw StorageError(
          .invalidArgument, "is merged by what was measured of it, which is not given", expert: expert.name
        ).with(.giveStatistics)
      }
      guard base.tensors.contains(where: { source.tensor(named: $0.name + suffix) != nil }) else {
        throw StorageError(
          .unknownName,
          "none of the statistics has the name of a tensor of the base"
            + (suffix.isEmpty ? "" : " followed by '\(suffix)'"), file: source.label, expert: expert.name)
      }
    }
  }
}

extension TensorGroup {
  /// What was measured of each member for this tensor, under its name followed by `suffix`, in the order of the members.
  ///
  /// - Parameter shapes: that it may be of, all members' alike.
  /// - Returns: nil when nothing was, for any of them.
  /// - Throws: `unknownName` when something was for some of them only; `shapeMismatch` for another shape; `malformed` for
  ///   numbers that are not floats.
  package func statistics(suffix: String = "", shapes: [Shape]) throws(StorageError) -> [StoredElements]? {
    var found: [StoredElements] = []
    var missing: Member?
    for member in members {
      let shapes = found.first.map { [$0.info.shape] } ?? shapes
      if let elements = try member.statistics(for: info, suffix: suffix, shapes: shapes) {
        found.append(elements)
      } else {
        missing = missing ?? member
      }
    }
    if found.isEmpty { return nil }
    if let missing {
      throw StorageError(
        .unknownName, "is missing among the expert's statistics, but not among those of others",
        file: missing.expert.statistics?.label, expert: missing.name, tensor: info.name + suffix)
    }
    return found
  }
}

extension TensorGroup.Member {
  /// nil when nothing was measured.
  fileprivate func statistics(
    for info: TensorInfo, suffix: String, shapes: [Shape]
  ) throws(StorageError) -> StoredElements? {
    guard let source = expert.statistics, let own = source.tensor(named: info.name + suffix) else { return nil }
    guard shapes.contains(own.shape) else {
      let wanted = shapes.map { "\($0)" }.joined(separator: " or ")
      throw StorageError(
        .shapeMismatch, "is \(own.shape); for \(info.shape) it must be \(wanted)", file: source.label, expert: name,
        tensor: own.name)
    }
    guard own.dtype.floatFormat != nil else {
      throw StorageError(
        .malformed, "is \(own.dtype.rawValue); statistics are floats", file: source.label, expert: name,
        tensor: own.name)
    }
    return StoredElements(own, of: source)
  }
}

extension StoredElements {
  /// Throws, naming file and tensor, unless all values are sound: from `least` to 10¹⁵⁰, whose products are numbers.
  package func check(_ values: UnsafeBufferPointer<Double>, atLeast least: Double) throws(StorageError) {
    var isSound = true
    for value in values { isSound = (value >= least && value <= 1e150) && isSound }
    guard !isSound else { return }
    let first = values.first { !($0 >= least && $0 <= 1e150) }!
    throw StorageError(
      first < least && first >= -1e150 ? .malformed : .nonFinite, "holds \(first), which no such statistic can be",
      file: source.label, tensor: info.name)
  }
}
