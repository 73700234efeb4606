extension SymbolModels.Component {
  /// The path through the trellis for which squared error + `slope` · bits is least, at what symbols cost at the component's
  /// start (Viterbi's algorithm); and learns it.
  mutating func quantizeByTrellis(
    _ values: UnsafeBufferPointer<Float>, slope: Float, into integers: UnsafeMutableBufferPointer<Int16>
  ) -> Double {
    if isFirst {
      // Nothing is known of the costs yet: learn them from a first try.
      let blank = Array(UnsafeBufferPointer(start: models, count: modelCount))
      let quiet = Array(activities)
      search(values, SymbolCosts(self, slope: slope), into: integers)
      _ = learnPath(integers)
      let costs = SymbolCosts(self, slope: slope)
      for (i, model) in blank.enumerated() { models[i] = model }
      for (i, activity) in quiet.enumerated() { activities[i] = activity }
      search(values, costs, into: integers)
    } else {
      search(values, SymbolCosts(self, slope: slope), into: integers)
    }
    return learnPath(integers)
  }

  /// - Returns: the bits that the symbols take.
  private mutating func learnPath(_ integers: UnsafeMutableBufferPointer<Int16>) -> Double {
    var state = TrellisState()
    var total = 0.0
    for i in 0..<count {
      let magnitude = state.magnitude(of: Int(integers[i].magnitude))
      let (context, set) = (context(i), models + state.grid * SymbolModels.count)
      total += Double(bits(magnitude, context, set))
      learn(magnitude, context, set)
      note(magnitude, at: i)
      state.advance(magnitude)
    }
    return total
  }

  private func search(
    _ values: UnsafeBufferPointer<Float>, _ costs: SymbolCosts, into integers: UnsafeMutableBufferPointer<Int16>
  ) {
    let largest = quantizer.largestMagnitude
    // For each place: the symbols of the four ways on (a grid, a parity), and a bit for each state, which way into it was best.
    let symbols = UnsafeMutablePointer<Int16>.allocate(capacity: 4 * count)
    let choices = UnsafeMutablePointer<UInt8>.allocate(capacity: count)
    defer {
      symbols.deallocate()
      choices.deallocate()
    }
    var sums = SIMD8<Float>(repeating: .infinity)
    sums[0] = 0
    for i in 0..<count {
      let value = min(values[i].magnitude, Float(2 * largest - 2))
      let context = context(i)
      var ways = SIMD4<Float>(repeating: .infinity)
      for grid in 0...1 {
        let low = Int((value + Float(grid)) * 0.5)
        func consider(_ magnitude: Int) {
          let distance = value - Float(magnitude == 0 ? 0 : 2 * magnitude - grid)
          let cost = distance * distance + costs.cost(magnitude, grid: grid, context: context)
          let way = 2 * grid + magnitude & 1
          if cost < ways[way] {
            ways[way] = cost
            symbols[4 * i + way] = Int16(truncatingIfNeeded: magnitude)
          }
        }
        consider(low)
        consider(low + 1)
        if low > 0 {
          consider(low - 1)
          if low > 1 { consider(0) }
        }
      }
      (sums, choices[i]) = Self.step(sums, ways)
      // Sums of many would lose the digits that matter.
      if i & 63 == 63 { sums -= sums.min() }
    }
    var state = TrellisState(index: (0..<TrellisState.count).min { sums[$0] < sums[$1] }!)
    for i in (0..<count).reversed() {
      let (origin, parity) = state.origin(choice: Int(choices[i] >> UInt8(state.index) & 1))
      let size = origin.size(of: Int(symbols[4 * i + 2 * origin.grid + parity]))
      integers[i] = Int16(truncatingIfNeeded: values[i] < 0 ? -size : size)
      state = origin
    }
  }

  /// Extends the best paths into the eight states: add, compare, select.
  ///
  /// - Parameters:
  ///   - sums: what the best path into each state costs.
  ///   - ways: what the symbols cost, by grid and parity.
  /// - Returns: the new sums, and for each state which way into it was taken (`TrellisState.origin`).
  @inline(__always)
  private static func step(_ s: SIMD8<Float>, _ w: SIMD4<Float>) -> (sums: SIMD8<Float>, choices: UInt8) {
    let first =
      SIMD8(s[0], s[2], s[0], s[2], s[3], s[1], s[3], s[1]) + SIMD8(w[0], w[0], w[1], w[1], w[3], w[2], w[2], w[3])
    let second =
      SIMD8(s[4], s[6], s[4], s[6], s[5], s[7], s[5], s[7]) + SIMD8(w[1], w[1], w[0], w[0], w[2], w[3], w[3], w[2])
    let isSecond = second .< first
    let bits = SIMD8<Int32>(1, 2, 4, 8, 16, 32, 64, 128)
    let chosen = SIMD8<Int32>.zero.replacing(with: bits, where: isSecond)
    return (first.replacing(with: second, where: isSecond), UInt8(truncatingIfNeeded: chosen.wrappedSum()))
  }
}

/// What symbols cost, for a search.
private struct SymbolCosts {
  private let component: SymbolModels.Component
  private let slope: Float
  private let table: [Float]
  private static let tabled = SymbolModels.unary + 1

  init(_ component: SymbolModels.Component, slope: Float) {
    self.component = component
    self.slope = slope
    table = (0..<2).flatMap { grid in
      component.bitsOfSmallMagnitudes(component.models + grid * SymbolModels.count).map { slope * $0 }
    }
  }

  @inline(__always)
  package func cost(_ magnitude: Int, grid: Int, context: Int) -> Float {
    if magnitude < Self.tabled {
      return table.withUnsafeBufferPointer { $0[(grid * SymbolModels.contexts + context) * Self.tabled + magnitude] }
    }
    return slope * component.bits(magnitude, context, component.models + grid * SymbolModels.count)
  }
}
