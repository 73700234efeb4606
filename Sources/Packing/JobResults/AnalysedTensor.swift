import TMPackByteIO
import TMPackFactors
import TMPackJournal
import TMPackTensorKit

/// What a search of a rate needs to know of a tensor.
package enum AnalysedTensor: Sendable {
  case controlled(QuantizableTensor)
  /// Stored in the same way at every rate, and small: what it takes shows only beside the others that it shares frames with.
  case small(PackedTensor)
  /// The same, and large: about so many bytes, or none.
  case large(UInt64)
}

extension AnalysedTensor: JobResult {
  package init(parsing reader: inout ByteReader, of subject: TensorInfo) throws(StorageError) {
    switch try reader.integer(UInt8.self) {
    case 0: self = .large(UInt64(try reader.count()))
    case 2: self = .small(try PackedTensor(parsing: &reader, of: subject))
    case 1:
      let (rows, columns) = (try reader.count(), try reader.count())
      guard rows >= 1, columns >= 1, try rows.multiplied(by: columns, "a size") == subject.shape.elementCount else {
        throw StorageError(.malformed, "an analysis is not of its tensor", offset: reader.offset)
      }
      let spectrum = try Spectrum(parsing: &reader, rows: rows, columns: columns)
      self = .controlled(.one(try spectrum.matrix(parsing: &reader)))
    case 3:
      let stack = try reader.stack(of: subject)
      var spectra: [Spectrum?] = []
      for _ in 0..<stack.count {
        spectra.append(
          try reader.optional { reader throws(StorageError) in
            try Spectrum(parsing: &reader, rows: stack.rows, columns: stack.columns)
          })
      }
      self = .controlled(
        .stack(
          stack,
          try spectra.map { spectrum throws(StorageError) in
            try spectrum.map { spectrum throws(StorageError) in try spectrum.matrix(parsing: &reader) }
          }))
    default: throw StorageError(.malformed, "an analysis is of an unknown kind", offset: reader.offset)
    }
  }

  package func write(to writer: inout ByteWriter) {
    switch self {
    case .large(let bytes):
      writer.integer(UInt8(0))
      writer.integer(bytes)
    case .small(let packed):
      writer.integer(UInt8(2))
      packed.write(to: &writer)
    // The vectors come last, those of each matrix left and right, as `PreparedTensor` reads them.
    case .controlled(.one(let matrix)):
      writer.integer(UInt8(1))
      writer.integer(UInt64(matrix.rows))
      writer.integer(UInt64(matrix.columns))
      Spectrum(matrix).write(to: &writer)
      matrix.writeVectors(to: &writer)
    case .controlled(.stack(let stack, let matrices)):
      writer.integer(UInt8(3))
      writer.stack(stack)
      for matrix in matrices { writer.optional(matrix) { Spectrum($1).write(to: &$0) } }
      for matrix in matrices { matrix?.writeVectors(to: &writer) }
    }
  }

  /// A matrix's energy and singular values, in front of the vectors of all.
  private struct Spectrum {
    let rows: Int
    let columns: Int
    let energy: Double
    let singularValues: [Double]

    init(_ matrix: QuantizableMatrix) {
      (rows, columns, energy) = (matrix.rows, matrix.columns, matrix.energy)
      singularValues = matrix.vectors?.singularValues ?? []
    }

    init(parsing reader: inout ByteReader, rows: Int, columns: Int) throws(StorageError) {
      (self.rows, self.columns) = (rows, columns)
      energy = Double(bitPattern: try reader.integer())
      let rank = Int(try reader.integer(UInt32.self))
      guard rank <= min(rows, columns), energy.isFinite, energy >= 0 else {
        throw StorageError(.malformed, "an analysis is not of its tensor", offset: reader.offset)
      }
      singularValues = try reader.numbers(rank)
    }

    func write(to writer: inout ByteWriter) {
      writer.integer(energy.bitPattern)
      writer.integer(UInt32(singularValues.count))
      writer.numbers(singularValues)
    }

    func matrix(parsing reader: inout ByteReader) throws(StorageError) -> QuantizableMatrix {
      var vectors: SingularVectors?
      if !singularValues.isEmpty {
        vectors = SingularVectors(
          rows: rows, columns: columns, singularValues: singularValues,
          left: try reader.numbers(singularValues.count * rows),
          right: try reader.numbers(singularValues.count * columns))
      }
      guard vectors?.areUnitVectors ?? true else {
        throw StorageError(.malformed, "an analysis has no singular vectors", offset: reader.offset)
      }
      return QuantizableMatrix(rows: rows, columns: columns, energy: energy, vectors: vectors)
    }
  }
}

extension QuantizableMatrix {
  func writeVectors(to writer: inout ByteWriter) {
    guard let vectors else { return }
    writer.numbers(vectors.left)
    writer.numbers(vectors.right)
  }
}

extension SingularVectors {
  /// Whether nothing is beyond what a decomposition gives.
  var areUnitVectors: Bool {
    func areSmall(_ values: [Float]) -> Bool { values.reduce(true) { $0 && $1.magnitude < 2 } }
    return singularValues.allSatisfy { $0.isFinite && $0 >= 0 } && areSmall(left) && areSmall(right)
  }
}
