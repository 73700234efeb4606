import TMPackByteIO

/// Some elements of a matrix that several experts share: a mask says which (TMP-6-23).
///
/// In the form of TALL masks (Wang et al., 2024, arXiv 2405.07813) the matrix is the sum of the experts' task vectors, and each
/// expert has a mask of its own. Elements of symbol 0 are in no mask.
/// It decodes as a `SparseFactor` of the selected elements does: g = w · scale, rounded to float32; then
/// accᵢ = fma(g, symbolᵢ, accᵢ) in the accumulator's type. Other elements are not touched.
package struct MaskedFactor: Sendable, Hashable {
  package let rows: Int
  package let columns: Int
  /// One bit for each element whose symbol is not 0, entropy-coded, as stored.
  package let mask: [UInt8]
  /// The whole matrix, as a `QuantizedDenseFactor` is stored.
  package let vector: [UInt8]
  /// 0 where the mask has none.
  package let symbols: [Int16]
  /// Positive and finite.
  package let scale: Float

  package var count: Int { symbols.count }
}

extension MaskedFactor {
  /// A factor from an archive, decoded and checked.
  ///
  /// - Throws: `malformed` unless the payloads are what the encoder makes of some matrix and mask.
  package init(mask: [UInt8], vector: [UInt8], rows: Int, columns: Int) throws(StorageError) {
    let whole = try QuantizedDenseFactor(payload: vector, rows: rows, columns: columns)
    var selected = whole.symbols
    try mask.withUnsafeBufferPointer { bytes throws(StorageError) in
      var coder = RangeDecoder(bytes)
      selected.withUnsafeMutableBufferPointer { selected in
        whole.forEachMaskBit { i, model, rates in
          let bit = coder.decode(&model, rates)
          if !bit { selected[i] = 0 }
          return bit
        }
      }
      try coder.finish()
    }
    self.rows = rows
    self.columns = columns
    self.mask = mask
    self.vector = vector
    symbols = selected
    scale = whole.scale
  }

  /// - Parameter isSelected: of an element; asked once for each whose symbol is not 0, in order.
  /// - Returns: nil when there is no element that is selected.
  package init?(of whole: QuantizedDenseFactor, where isSelected: (Int) -> Bool) {
    var selected = whole.symbols
    var coder = RangeEncoder()
    selected.withUnsafeMutableBufferPointer { selected in
      whole.forEachMaskBit { i, model, rates in
        let bit = isSelected(i)
        coder.encode(bit, &model, rates)
        if !bit { selected[i] = 0 }
        return bit
      }
    }
    mask = coder.finish()
    // Decisions that are all false, or none, make the empty message, and nothing else does (TMP-10-2).
    guard !mask.isEmpty else { return nil }
    rows = whole.rows
    columns = whole.columns
    vector = whole.payload
    symbols = selected
    scale = whole.scale
  }
}

extension QuantizedDenseFactor {
  /// Magnitudes above this share their models.
  private static let largestMaskClass = 15
  private static let maskActivityClasses = 8

  /// Goes through the bits of a mask of this matrix with the model of each (TMP-10-10).
  ///
  /// - Parameter code: writes or reads the bit of the element and returns it; the model learns there.
  fileprivate func forEachMaskBit(_ code: (_ i: Int, inout BinaryModel, UnsafePointer<Int32>) -> Bool) {
    var models = [BinaryModel](
      repeating: BinaryModel(), count: (Self.largestMaskClass + 1) * Self.maskActivityClasses)
    var activities = [Int32](repeating: 2048, count: columns)
    var run: Int32 = 2048
    symbols.withUnsafeBufferPointer { symbols in
      models.withUnsafeMutableBufferPointer { models in
        activities.withUnsafeMutableBufferPointer { activities in
          BinaryModel.rates.withUnsafeBufferPointer { rates in
            for row in 0..<rows {
              for column in 0..<columns {
                let i = row &* columns &+ column
                let magnitude = min(Int(symbols[i].magnitude), Self.largestMaskClass)
                if magnitude == 0 { continue }
                let activity = activities[column]
                let context = magnitude * Self.maskActivityClasses + Int(activity + run) >> 10
                let target: Int32 = code(i, &models[context], rates.baseAddress!) ? 4096 : 0
                activities[column] = activity + (target - activity) >> 5
                run += (target - run) >> 5
              }
            }
          }
        }
      }
    }
  }
}

extension MaskedFactor {
  /// Adds the elements from `start` on.
  func accumulate<Scalar: FactorAccumulator>(
    weight: Float, into run: UnsafeMutableBufferPointer<Scalar>, from start: Int, using isa: InstructionSet
  ) {
    let gain = weight * scale
    let room = 2048
    withUnsafeTemporaryAllocation(of: Int.self, capacity: room) { places in
      withUnsafeTemporaryAllocation(of: Float.self, capacity: room) { values in
        symbols.withUnsafeBufferPointer { symbols in
          for first in stride(from: 0, to: run.count, by: room) {
            var selected = 0
            for i in 0..<min(room, run.count - first) {
              let symbol = symbols[start + first + i]
              // Overwritten by the next, if it is not selected.
              places[selected] = i
              values[selected] = Float(symbol)
              selected += symbol != 0 ? 1 : 0
            }
            Scalar.accumulateSparse(
              isa, run.baseAddress! + first, places.baseAddress!, values.baseAddress!, count: selected, gain: gain)
          }
        }
      }
    }
  }
}
