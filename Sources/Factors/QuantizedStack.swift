import TMPackByteIO
import TMPackTensorKit

/// A stack of matrices, each quantised in some way or nothing, in one message (TMP-6-30).
///
/// What is learned of one matrix passes on to the next. Each decodes as its factor does.
package struct QuantizedStack: Sendable, Hashable {
  package let stack: MatrixStack
  package let quantizer: Quantizer
  /// nil for a matrix that is approximated by zeros; one at least is not. Their own payloads are empty.
  package let matrices: [QuantizedFactor?]
  /// Everything but the stack, the ranks and the quantiser, as stored; empty where only some matrices were kept.
  package let payload: [UInt8]

  /// How each matrix is stored.
  package struct Form: Sendable, Hashable {
    /// Of its low-rank part; 0 without one.
    package let rank: Int
    /// Whether it has, or also has, every element.
    package let isDense: Bool

    package init(rank: Int, isDense: Bool) {
      self.rank = rank
      self.isDense = isDense
    }

    package static let nothing = Form(rank: 0, isDense: false)
  }

  package var forms: [Form] { matrices.map { $0?.stackedForm ?? .nothing } }

  /// A factor from an archive, decoded and checked.
  ///
  /// - Throws: `malformed` unless `payload` is what the encoder makes of some symbols and scales.
  package init(
    payload: [UInt8], stack: MatrixStack, forms: [Form], quantizer: Quantizer
  ) throws(StorageError) {
    // A matrix is kept: there is one.
    self = try Self(payload: payload, stack: stack, forms: forms, quantizer: quantizer, keeping: nil)!
  }

  /// Some matrices of a factor from an archive, and nothing for the others: decoded as far as they need. nil where they add nothing.
  ///
  /// - Parameter wanted: nil for all, and for the check that the message is the encoder's to its end.
  /// - Throws: `malformed`.
  package init?(
    payload: [UInt8], stack: MatrixStack, forms: [Form], quantizer: Quantizer, keeping wanted: Range<Int>?
  ) throws(StorageError) {
    guard forms.count == stack.count, forms.contains(where: { $0 != .nothing }) else {
      throw StorageError(.malformed, "a stack of \(stack.count) matrices has \(forms.count) forms")
    }
    _ = try stack.rows.multiplied(by: stack.columns, "the number of elements of a matrix")
    matrices = try payload.withUnsafeBufferPointer { bytes throws(StorageError) in
      var coder = RangeDecoder(bytes)
      var models = StackModels(stack, quantizer)
      var matrices: [QuantizedFactor?] = []
      for (number, form) in forms.prefix(wanted?.upperBound ?? forms.count).enumerated() {
        let matrix = try models.decode(form, &coder)
        matrices.append(wanted?.contains(number) ?? true ? matrix : nil)
      }
      if wanted == nil { try coder.finish() }
      return matrices + [QuantizedFactor?](repeating: nil, count: forms.count - matrices.count)
    }
    guard matrices.contains(where: { $0 != nil }) else { return nil }
    self.stack = stack
    self.quantizer = quantizer
    self.payload = wanted == nil ? payload : []
  }

  /// - Precondition: there is a factor or nil for each matrix, one at least is a factor, and they are of the stack's shape; those of low
  ///   rank have this quantiser.
  package init(stack: MatrixStack, quantizer: Quantizer, matrices: [QuantizedFactor?]) {
    precondition(matrices.count == stack.count && matrices.contains { $0 != nil })
    var coder = RangeEncoder()
    var models = StackModels(stack, quantizer)
    for matrix in matrices { models.encode(matrix, &coder) }
    self.stack = stack
    self.quantizer = quantizer
    self.matrices = matrices.map { $0?.withoutPayload }
    payload = coder.finish()
  }

  /// Integers that it is decoded to.
  package var symbolCount: Int { matrices.reduce(0) { $0 + ($1?.symbolCount ?? 0) } }
}

extension QuantizedFactor {
  package var stackedForm: QuantizedStack.Form {
    switch self {
    case .lowRank(let factor): .init(rank: factor.rank, isDense: false)
    case .dense: .init(rank: 0, isDense: true)
    case .layered(let factor): .init(rank: factor.lowRank.rank, isDense: true)
    case .stack: preconditionFailure("a stack holds no stacks")
    }
  }

  fileprivate var withoutPayload: QuantizedFactor {
    switch self {
    case .lowRank(let factor): .lowRank(factor.withoutPayload)
    case .dense(let factor): .dense(factor.withoutPayload)
    case .layered(let factor): .layered(factor.withoutPayload)
    case .stack: preconditionFailure("a stack holds no stacks")
    }
  }
}

/// What the message of a stack has taught so far (TMP-10-11).
package struct StackModels {
  private let stack: MatrixStack
  private let quantizer: Quantizer
  package var lowRank: QuantizedLowRankFactor.Models
  private var dense: SymbolModels

  package init(_ stack: MatrixStack, _ quantizer: Quantizer) {
    self.stack = stack
    self.quantizer = quantizer
    lowRank = QuantizedLowRankFactor.Models(rows: stack.rows, columns: stack.columns, quantizer)
    dense = SymbolModels(length: stack.columns, neighbours: .placeAndRun)
  }

  fileprivate mutating func decode(
    _ form: QuantizedStack.Form, _ coder: inout RangeDecoder
  ) throws(StorageError) -> QuantizedFactor? {
    let product =
      form.rank == 0
      ? nil
      : try QuantizedLowRankFactor(
        decodedBy: &coder, rows: stack.rows, columns: stack.columns, rank: form.rank, quantizer: quantizer,
        models: &lowRank)
    guard form.isDense else { return product.map { .lowRank($0) } }
    let residual = try QuantizedDenseFactor(
      decodedBy: &coder, rows: stack.rows, columns: stack.columns, models: &dense)
    guard let product else { return .dense(residual) }
    return .layered(QuantizedLayeredFactor(lowRank: product, residual: residual, payload: []))
  }

  fileprivate mutating func encode(_ matrix: QuantizedFactor?, _ coder: inout RangeEncoder) {
    switch matrix {
    case nil: break
    case .lowRank(let factor): factor.encode(into: &coder, models: &lowRank)
    case .dense(let factor): factor.encode(into: &coder, models: &dense)
    case .layered(let factor):
      factor.lowRank.encode(into: &coder, models: &lowRank)
      factor.residual.encode(into: &coder, models: &dense)
    case .stack: preconditionFailure("a stack holds no stacks")
    }
  }
}
