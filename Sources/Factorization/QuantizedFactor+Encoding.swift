import TMPackByteIO
import TMPackFactors
import TMPackTensorKit

extension QuantizedFactor {
  /// What a tensor becomes at some setting.
  package struct Encoding: Sendable {
    /// nil for a tensor that is better left out.
    package let factor: QuantizedFactor?
    /// ‖v − decoded‖²; for low rank as `QuantizedLowRankFactor.squaredError` has it.
    package let squaredError: Double

    package init(factor: QuantizedFactor?, squaredError: Double) {
      self.factor = factor
      self.squaredError = squaredError
    }

    package var byteCount: Int { factor?.payload.count ?? 0 }
  }

  /// The codecs to choose between.
  package enum Codec: Sendable, CaseIterable {
    case lowRank, dense
    /// Where there is nothing to put into one of the layers, the other alone.
    case layered

    /// Those that compete unless one is asked for: `layered` did not pay (Spec/decisions/0011).
    package static let standard: Set<Codec> = [.lowRank, .dense]
  }

  /// The cheapest form at one slope: of nothing, low rank, entry-wise and both the one for which
  /// squared error + price · bits is least, by encoding them.
  ///
  /// - Parameters:
  ///   - values: lends the elements, finite, `rows` × `columns` ≥ 1 of them; not called where they are not needed.
  ///   - vectors: the leading triplets, as many as there are or were affordable; nil for what is no matrix.
  ///   - energy: ‖v‖².
  ///   - overhead: bytes that an entry takes beside the payload.
  ///   - codecs: the candidates beside leaving it out.
  package static func encode(
    _ values: (_ body: (UnsafeBufferPointer<Float>) -> Void) throws(StorageError) -> Void, rows: Int, columns: Int,
    vectors: SingularVectors?, energy: Double,
    at point: RateSetting.Point, overhead: Int = 0, codecs: Set<Codec> = Codec.standard
  ) throws(StorageError) -> Encoding {
    var best = Encoding(factor: nil, squaredError: energy)
    guard energy > 0, point.step > 0, point.step.isFinite else { return best }
    let price = 8 * point.price
    var least = point.mayBeLeftOut ? energy : .infinity
    /// - Parameter error: what counts of a form; nil for its squared error.
    func consider(_ encoding: Encoding, judgedBy error: Double? = nil) {
      let cost = (error ?? encoding.squaredError) + price * Double(encoding.byteCount + overhead)
      guard cost < least else { return }
      (best, least) = (encoding, cost)
    }
    func lowRank(_ scales: ComponentScales) -> Encoding? {
      guard let vectors,
        let factor = QuantizedLowRankFactor(
          quantizing: vectors, rank: point.rank, step: point.step, leastGain: point.mayBeLeftOut ? point.price : 0,
          scales: scales, energy: energy)
      else { return nil }
      return Encoding(factor: .lowRank(factor), squaredError: factor.squaredError(against: vectors, energy: energy))
    }
    var lowRankSymbols = Int.max
    var judgesDense: Bool {
      codecs.contains(.dense)
        && (vectors == nil || !codecs.contains(.lowRank) || lowRankSymbols > rows * columns / 4)
        && (vectors == nil || point.rank >= min(rows, columns) || lowRankSymbols >= rows * columns)
    }
    if codecs.contains(.lowRank), let encoding = lowRank(point.scales) {
      lowRankSymbols = encoding.factor?.form.rank.map { $0 * (rows + columns) } ?? .max
      // Other forms have the least error that their symbols allow, so that is what it competes with.
      let competes = point.scales != .nearest && (judgesDense || codecs.contains(.layered))
      consider(encoding, judgedBy: competes ? lowRank(.nearest)?.squaredError : nil)
    }
    // At equal step the entry-wise quantiser wins only where low rank has to code about as many numbers.
    if codecs.contains(.layered) {
      try values { values in
        for encoding in layers(of: values, rows: rows, columns: columns, vectors, energy, at: point) {
          consider(encoding)
        }
      }
    }
    if judgesDense {
      try values { values in
        guard let factor = QuantizedDenseFactor(quantizing: values, rows: rows, columns: columns, step: point.step)
        else { return }
        consider(Encoding(factor: .dense(factor), squaredError: factor.squaredError(against: values)))
      }
    }
    return best
  }
}

extension QuantizedFactor {
  /// What was decided of a tensor, beside the step.
  package enum Form: Sendable, Hashable {
    case lowRank(rank: Int, Quantizer)
    case dense
    case layered(rank: Int, Quantizer)
    case stack(StackForm)

    /// Components; nil of what has none, or is several matrices.
    package var rank: Int? {
      switch self {
      case .lowRank(let rank, _), .layered(let rank, _): rank
      case .dense, .stack: nil
      }
    }

    /// That of a matrix of a stack; nil for one that is left out.
    package func ofMatrix(_ number: Int) -> Form? {
      guard case .stack(let form) = self else { return nil }
      let own = form.matrices[number]
      switch (own.rank, own.isDense) {
      case (0, false): return nil
      case (0, true): return .dense
      case (let rank, false): return .lowRank(rank: rank, form.quantizer)
      case (let rank, true): return .layered(rank: rank, form.quantizer)
      }
    }
  }

  /// What was decided of the matrices of a stack.
  package struct StackForm: Sendable, Hashable {
    package let stack: MatrixStack
    package let quantizer: Quantizer
    package let matrices: [QuantizedStack.Form]

    package init(stack: MatrixStack, quantizer: Quantizer, matrices: [QuantizedStack.Form]) {
      self.stack = stack
      self.quantizer = quantizer
      self.matrices = matrices
    }
  }

  package var form: Form {
    switch self {
    case .lowRank(let factor): .lowRank(rank: factor.rank, factor.quantizer)
    case .dense: .dense
    case .layered(let factor): .layered(rank: factor.lowRank.rank, factor.lowRank.quantizer)
    case .stack(let factor):
      .stack(StackForm(stack: factor.stack, quantizer: factor.quantizer, matrices: factor.forms))
    }
  }

  /// The tensor in a given form: with nothing left to decide, what it takes and loses changes smoothly with the step.
  ///
  /// - Parameters: as above; of the components fewer are left where steps are too coarse for them.
  package static func encode(
    _ values: (_ body: (UnsafeBufferPointer<Float>) -> Void) throws(StorageError) -> Void, rows: Int, columns: Int,
    vectors: SingularVectors?, energy: Double, as form: Form?, step: Double, scales: ComponentScales
  ) throws(StorageError) -> Encoding {
    var result = Encoding(factor: nil, squaredError: energy)
    func lowRank(_ rank: Int, _ quantizer: Quantizer, _ scales: ComponentScales) -> QuantizedLowRankFactor? {
      vectors.flatMap {
        QuantizedLowRankFactor(
          quantizing: $0, rank: rank, step: step, quantizer: quantizer, scales: scales, energy: energy)
      }
    }
    guard energy > 0, step > 0, step.isFinite else { return result }
    switch form {
    case nil: break
    case .stack: preconditionFailure("a form of many matrices")
    case .lowRank(let rank, let quantizer):
      if let vectors, let factor = lowRank(rank, quantizer, scales) {
        result = Encoding(
          factor: .lowRank(factor), squaredError: factor.squaredError(against: vectors, energy: energy))
      }
    case .dense:
      try values { values in
        if let factor = QuantizedDenseFactor(quantizing: values, rows: rows, columns: columns, step: step) {
          result = Encoding(factor: .dense(factor), squaredError: factor.squaredError(against: values))
        }
      }
    case .layered(let rank, let quantizer):
      // What noise there is, the second layer takes away.
      guard let vectors, let base = lowRank(rank, quantizer, .nearest) else { break }
      result = Encoding(factor: .lowRank(base), squaredError: base.squaredError(against: vectors, energy: energy))
      try values { values in
        if let layered = QuantizedLayeredFactor.encode(values, over: base, step: step) {
          result = Encoding(factor: .layered(layered.factor), squaredError: layered.squaredError)
        }
      }
    }
    return result
  }
}

extension QuantizedFactor {
  /// Low rank and the rest of it, with all the components that pay by themselves, half of them, and a quarter; or what there
  /// is of the layers, where there are not both.
  private static func layers(
    of values: UnsafeBufferPointer<Float>, rows: Int, columns: Int, _ vectors: SingularVectors?, _ energy: Double,
    at point: RateSetting.Point
  ) -> [Encoding] {
    func lowRank(_ rank: Int) -> QuantizedLowRankFactor? {
      vectors.flatMap {
        QuantizedLowRankFactor(
          quantizing: $0, rank: rank, step: point.step, leastGain: point.mayBeLeftOut ? point.price : 0)
      }
    }
    guard let vectors, let whole = lowRank(point.rank) else {
      let factor = QuantizedDenseFactor(quantizing: values, rows: rows, columns: columns, step: point.step)
      return factor.map { [Encoding(factor: .dense($0), squaredError: $0.squaredError(against: values))] } ?? []
    }
    let ranks = [whole.rank / 2, whole.rank / 4].filter { $0 > 0 }
    var encodings: [Encoding] = []
    for base in [whole] + ranks.compactMap(lowRank) {
      guard let layered = QuantizedLayeredFactor.encode(values, over: base, step: point.step) else { continue }
      encodings.append(Encoding(factor: .layered(layered.factor), squaredError: layered.squaredError))
    }
    if encodings.isEmpty {
      encodings.append(
        Encoding(factor: .lowRank(whole), squaredError: whole.squaredError(against: vectors, energy: energy)))
    }
    return encodings
  }
}
