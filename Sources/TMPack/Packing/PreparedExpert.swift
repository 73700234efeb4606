import ArchiveFormat
import ByteIO
import Factorization
import TensorKit

/// An expert whose exclusive vectors are ready to be quantised at any rate: singular vectors are computed once and kept on disk.
struct PreparedExpert: Sendable {
  /// By tensor name; those that rate control decides on.
  let tensors: [ExactString: PreparedTensor]
  /// Stored bytes of what does not depend on the rate, nearly: exact tensors and fixed factors.
  let fixedBytes: UInt64

  var energy: Double { tensors.values.reduce(0) { $0 + $1.energy } }
  var elementCount: Int { tensors.values.reduce(0) { $0 + $1.elementCount } }
}

/// What is kept of one tensor; its values are read again when they are needed.
struct PreparedTensor: Sendable {
  let rows: Int
  let columns: Int
  let energy: Double
  private let stored: StoredVectors?

  var elementCount: Int { rows * columns }

  private struct StoredVectors: Sendable {
    let singularValues: [Double]
    let offset: UInt64
  }

  /// - Parameter rank: the most components that will be wanted.
  init(_ vector: borrowing ExclusiveVector, shape: Shape, rank: Int, scratch: ScratchFile) throws(StorageError) {
    try self.init(QuantizableTensor(vector, shape: shape, rank: rank), scratch: scratch)
  }

  init(_ tensor: QuantizableTensor, scratch: ScratchFile) throws(StorageError) {
    rows = tensor.rows
    columns = tensor.columns
    energy = tensor.energy
    guard let vectors = tensor.vectors else {
      stored = nil
      return
    }
    let both = vectors.left + vectors.right
    let offset = try both.withUnsafeBufferPointer { buffer throws(StorageError) in
      try scratch.append(UnsafeRawBufferPointer(buffer))
    }
    stored = StoredVectors(singularValues: vectors.singularValues, offset: offset)
  }

  /// With its singular vectors in memory again.
  func loaded(from scratch: ScratchFile) throws(StorageError) -> QuantizableTensor {
    guard let stored else { return QuantizableTensor(rows: rows, columns: columns, energy: energy, vectors: nil) }
    let rank = stored.singularValues.count
    var failure: StorageError?
    let both = [Float](unsafeUninitializedCapacity: rank * (rows + columns)) { buffer, count in
      let target = UnsafeMutableBufferPointer(rebasing: buffer[..<(rank * (rows + columns))])
      do throws(StorageError) {
        try scratch.read(at: stored.offset, into: UnsafeMutableRawBufferPointer(target))
        count = target.count
      } catch {
        failure = error
        count = 0
      }
    }
    if let failure { throw failure }
    let vectors = SingularVectors(
      rows: rows, columns: columns, singularValues: stored.singularValues, left: Array(both[..<(rank * rows)]),
      right: Array(both[(rank * rows)...]))
    return QuantizableTensor(rows: rows, columns: columns, energy: energy, vectors: vectors)
  }
}
