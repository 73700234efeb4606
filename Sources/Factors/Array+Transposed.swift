extension [Float] {
  /// A row-major matrix with its sides exchanged.
  package func transposed(rows: Int, columns: Int) -> [Float] {
    [Float](unsafeUninitializedCapacity: count) { values, initialized in
      for i in 0..<rows {
        for j in 0..<columns { values.initializeElement(at: j * rows + i, to: self[i * columns + j]) }
      }
      initialized = count
    }
  }
}
