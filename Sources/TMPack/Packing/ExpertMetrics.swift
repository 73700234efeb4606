import ArchiveFormat
import ByteIO
import Factorization
import Synchronization
import TensorKit

/// Which directions of the tensors matter to the experts that are packed together, for decompositions that weigh them.
///
/// What was measured of an expert on data says it best (`Spec/merging-statistics.md`): of the columns the covariance of a layer's
/// inputs, of the rows that of the gradients of its outputs. Where nothing was measured, the exclusive vectors of all experts say
/// it: Σ vᵀv and Σ v vᵀ, as training moves weights where inputs and gradients are.
///
/// Each metric is made once, of all experts, by who needs it first, so it does not depend on the order of the work; and kept on disk.
final class ExpertMetrics: Sendable {
  private let experts: [ExpertInput]
  private let scratch: ScratchFile
  private let drawn = Mutex<[ExactString: Drawn]>([:])

  /// The metric that experts give to a tensor, which may be none; made by one thread, while others wait.
  private final class Drawn: Sendable {
    let metric = Mutex<KeptMetric??>(nil)
  }

  /// Components of an exclusive vector that go into a metric, of small matrices all.
  private static let components = 64

  /// - Returns: nil where nothing says what matters: for one expert without statistics.
  /// - Throws: `unknownName` for statistics of no tensor of their expert.
  init?(of experts: [ExpertInput], besides path: String) throws(StorageError) {
    guard experts.count > 1 || experts.contains(where: { $0.statistics != nil }) else { return nil }
    for expert in experts { try expert.checkStatistics() }
    self.experts = experts
    scratch = try ScratchFile(besides: path)
  }

  /// The metric for a tensor of an expert; nil where nothing says what matters, and for what is no matrix.
  ///
  /// Memory: of one other expert's exclusive vector and its decomposition at a time.
  /// - Parameters:
  ///   - info: a shared tensor of a float dtype, `base` its bytes.
  /// - Throws: `shapeMismatch`, `malformed` or `nonFinite` for statistics that cannot be of this tensor.
  func metric(
    of info: TensorInfo, for expert: ExpertInput, base: TensorBytes
  ) throws(StorageError) -> MatrixMetric? {
    guard let (rows, columns) = info.shape.matrix, min(rows, columns) > 1 else { return nil }
    let right = try expert.measuredMetric(of: info, ExpertInput.inputSuffix, length: columns)
    let left = try expert.measuredMetric(of: info, ExpertInput.gradientSuffix, length: rows)
    if let left, let right { return MatrixMetric(left: left, right: right) }
    let drawn = try drawnMetric(of: info, rows: rows, columns: columns, base: base)
    if left == nil, right == nil { return drawn }
    return MatrixMetric(
      left: left ?? drawn?.left ?? SideMetric(evenOf: rows), right: right ?? drawn?.right ?? SideMetric(evenOf: columns)
    )
  }

  private func drawnMetric(
    of info: TensorInfo, rows: Int, columns: Int, base: TensorBytes
  ) throws(StorageError) -> MatrixMetric? {
    let item = drawn.withLock { drawn in
      let item = drawn[ExactString(info.name)] ?? Drawn()
      drawn[ExactString(info.name)] = item
      return item
    }
    let kept = try item.metric.withLock { metric throws(StorageError) -> KeptMetric? in
      if let metric { return metric }
      let made = try drawMetric(of: info, rows: rows, columns: columns, base: base)
        .map { metric throws(StorageError) in try KeptMetric(metric, in: scratch) }
      metric = .some(made)
      return made
    }
    return try kept.map { kept throws(StorageError) in try kept.loaded() }
  }

  /// From the leading triplets of all experts' vectors.
  private func drawMetric(
    of info: TensorInfo, rows: Int, columns: Int, base: TensorBytes
  ) throws(StorageError) -> MatrixMetric? {
    guard let format = info.dtype.floatFormat else { return nil }
    var (lefts, rights) = ([Float](), [Float]())
    var count = 0
    for expert in experts {
      let source = expert.checkpoint.source
      guard let own = source.tensor(named: info.name), own.matches(info) else { continue }
      let triplets = try located(file: source.label, expert: expert.name, tensor: info.name) {
        () throws(StorageError) -> SingularVectors? in
        let vector = try source.bytes(of: own).withBytes { raw throws(StorageError) in
          try ExclusiveVector(of: raw, against: base, format)
        }
        // What is not finite is refused where it is packed.
        guard vector.firstNonFinite == nil, !vector.isZero else { return nil }
        return try SingularVectors(
          of: MatrixView(vector.values, rows: rows, columns: columns), rank: min(rows, columns, Self.components))
      }
      // One expert's changes may be a hundred times another's; each has an equal say.
      guard let triplets, triplets.singularValues[0] > 0 else { continue }
      let norm = triplets.singularValues.reduce(0) { $0 + $1 * $1 }.squareRoot()
      for (k, value) in triplets.singularValues.enumerated() {
        let share = Float(value / norm)
        lefts += triplets.left[k * rows..<(k + 1) * rows].map { share * $0 }
        rights += triplets.right[k * columns..<(k + 1) * columns].map { share * $0 }
      }
      count += 1
    }
    // One expert's own vector says of itself only what its decomposition does.
    guard count > 1, let left = try SideMetric(length: rows, vectors: lefts, total: Double(count)),
      let right = try SideMetric(length: columns, vectors: rights, total: Double(count))
    else { return nil }
    return MatrixMetric(left: left, right: right)
  }
}

extension ExpertInput {
  /// What follows a tensor's name in a file of statistics.
  static let inputSuffix = RegressionMean.suffix
  static let gradientSuffix = ".grad" + inputSuffix

  /// Whether there is a covariance of either side.
  func isMeasured(_ info: TensorInfo) -> Bool {
    statistics?.tensor(named: info.name + Self.inputSuffix) != nil
      || statistics?.tensor(named: info.name + Self.gradientSuffix) != nil
  }

  /// Throws `unknownName` for a file that can only be another model's. One for a merging method alone has the tensors' own names.
  fileprivate func checkStatistics() throws(StorageError) {
    guard let source = statistics else { return }
    let isOfTheExpert = checkpoint.source.tensors.contains { isMeasured($0) || source.tensor(named: $0.name) != nil }
    guard !isOfTheExpert else { return }
    throw StorageError(
      .unknownName,
      "none of the statistics has the name of a tensor of the expert, alone or followed by '\(Self.inputSuffix)' or '\(Self.gradientSuffix)'",
      file: source.label, expert: name)
  }

  /// What was measured of one side of a matrix: nil where nothing was.
  fileprivate func measuredMetric(
    of info: TensorInfo, _ suffix: String, length: Int
  ) throws(StorageError) -> SideMetric? {
    guard let source = statistics, let own = source.tensor(named: info.name + suffix) else { return nil }
    return try located(file: source.label, expert: name, tensor: own.name) { () throws(StorageError) in
      let square = try Shape([length, length])
      guard own.shape == square else {
        throw StorageError(.shapeMismatch, "is \(own.shape); for \(info.shape) it must be \(square)")
      }
      guard let format = own.dtype.floatFormat else {
        throw StorageError(.malformed, "is \(own.dtype.rawValue); statistics are floats")
      }
      let values = try source.bytes(of: own).withBytes { format.floats($0) }
      try Self.checkCovariance(values, length)
      guard let metric = try SideMetric(length: length, covariance: values) else {
        throw StorageError(
          .malformed, "is zero, or too small or large to be weighed by; without it the tensor is packed unweighted")
      }
      return metric
    }
  }

  /// Throws unless the matrix is finite and symmetric, with a diagonal that is not negative, and no element beyond what its diagonal allows.
  private static func checkCovariance(_ values: [Float], _ length: Int) throws(StorageError) {
    if let place = values.firstIndex(where: { !$0.isFinite || $0.magnitude > 1e18 }) {
      throw StorageError(.nonFinite, "holds \(values[place]) at element \(place)")
    }
    for i in 0..<length {
      let own = Double(values[i * (length + 1)])
      guard own >= 0 else {
        throw StorageError(.malformed, "has \(own) on its diagonal, at row \(i): it is no covariance")
      }
      for j in 0..<i {
        let (one, other) = (Double(values[i * length + j]), Double(values[j * length + i]))
        let bound = (own * Double(values[j * (length + 1)])).squareRoot()
        guard (one - other).magnitude <= 0.01 * bound, one.magnitude <= 1.01 * bound else {
          throw StorageError(
            .malformed, "is no covariance: element (\(i), \(j)) is \(one), its mirror \(other), its bound \(bound)")
        }
      }
    }
  }
}

extension FloatFormat {
  /// The elements in binary32.
  fileprivate func floats(_ bytes: UnsafeRawBufferPointer) -> [Float] {
    [Float](unsafeUninitializedCapacity: bytes.count / byteWidth) { values, initialized in
      let count = bytes.count / byteWidth
      convert(
        bytes, to: .f32, into: UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: values[..<count])))
      initialized = count
    }
  }
}

/// A metric on disk.
private struct KeptMetric: Sendable {
  private let left: Side
  private let right: Side

  private struct Side: Sendable {
    let length: Int
    let gains: [Double]
    let rest: Double
    let directions: KeptNumbers<Float>

    init(_ metric: SideMetric, in scratch: ScratchFile) throws(StorageError) {
      (length, gains, rest) = (metric.length, metric.gains, metric.rest)
      directions = try KeptNumbers([metric.directions], in: nil, or: scratch)
    }

    func loaded() throws(StorageError) -> SideMetric {
      SideMetric(length: length, directions: try directions.loaded(), gains: gains, rest: rest)
    }
  }

  init(_ metric: MatrixMetric, in scratch: ScratchFile) throws(StorageError) {
    left = try Side(metric.left, in: scratch)
    right = try Side(metric.right, in: scratch)
  }

  func loaded() throws(StorageError) -> MatrixMetric {
    MatrixMetric(left: try left.loaded(), right: try right.loaded())
  }
}
