import TMPackTensorKit

/// The binarisation of small signed integers, and the models of their decisions (TMP-10-6, TMP-10-7).
///
/// Symbols come in components of one length. Where a symbol stands in its component matters: its context is how large
/// the symbols at the same place were in the components before. What is learned passes from component to component.
/// What goes in and comes out are the integers that the quantiser makes of symbols: themselves, or the trellis's.
package struct SymbolModels {
  /// How the context of a symbol is found.
  package enum Neighbours: Sendable {
    /// From the components before. Each component starts to learn anew, from what the ones before have taught.
    case place
    /// From the components before and the symbols just before, half and half.
    case placeAndRun
  }

  static let contexts = 12
  /// Magnitudes up to this have a decision each.
  static let unary = 13
  package static let largest = 32_767
  /// Magnitudes above it count as it in activities.
  static let largestActivity = 15

  fileprivate static let zero = 0
  fileprivate static let one = contexts
  /// Three groups of decisions on magnitudes 2...13.
  fileprivate static let more = 2 * contexts
  fileprivate static let length = more + 3 * (unary - 1)
  fileprivate static let top = length + 15
  /// In one set; a trellis has a set for each of its grids.
  package static let count = top + 15

  /// Contexts by activity, in sixteenths: the activities below which they end.
  private static let bounds: [UInt8] = [1, 3, 6, 10, 16, 24, 34, 48, 70, 110, 200]
  private static let contextOfActivity: [UInt8] = (0..<256).map { a in UInt8(bounds.count { a >= Int($0) }) }

  private let neighbours: Neighbours
  private let quantizer: Quantizer
  private var models: [BinaryModel]
  /// Moving averages of magnitudes, 256ths.
  private var activities: [UInt16]
  private var run: UInt16 = 0
  /// Components begun, of the matrix at hand.
  private var components = 0
  private var hasLearned = false
  /// The mean activity after a matrix's first component.
  private var opening: UInt16 = 0

  package init(length: Int, neighbours: Neighbours, quantizer: Quantizer = .uniform) {
    self.neighbours = neighbours
    self.quantizer = quantizer
    models = .init(repeating: BinaryModel(), count: quantizer == .trellis ? 2 * Self.count : Self.count)
    activities = .init(repeating: 0, count: length)
  }

  /// By how much an activity moves towards a new magnitude, as a shift, in the `k`th component.
  private static func inertia(_ k: Int) -> UInt16 {
    switch k {
    case 0: 0
    case 1...2: 1
    case 3...6: 2
    case 7...14: 3
    default: 4
    }
  }

  /// Calls `body` with access to everything, for the next component (TMP-10-8).
  package mutating func withComponent<Result>(_ body: (inout Component) -> Result) -> Result {
    let isFirst = !hasLearned
    hasLearned = true
    if neighbours == .place, !isFirst {
      for i in models.indices { models[i].count = min(models[i].count, BinaryModel.prior) }
    }
    let inertia = Self.inertia(components)
    components += 1
    defer { if components == 1 { opening = meanActivity } }
    return models.withUnsafeMutableBufferPointer { models in
      activities.withUnsafeMutableBufferPointer { activities in
        BinaryModel.rates.withUnsafeBufferPointer { rates in
          Self.contextOfActivity.withUnsafeBufferPointer { contexts in
            var component = Component(
              models: models.baseAddress!, activities: activities, rates: rates.baseAddress!,
              contexts: contexts.baseAddress!, inertia: inertia, usesRun: neighbours == .placeAndRun,
              quantizer: quantizer, isFirst: isFirst, run: run)
            defer { run = component.run }
            return body(&component)
          }
        }
      }
    }
  }

  private var meanActivity: UInt16 {
    UInt16(activities.reduce(0) { $0 + Int($1) } / max(1, activities.count))
  }

  /// Before the components of a further matrix (TMP-10-11): what was learned stays, and every place begins as the places of the
  /// matrix before were on average after its first component.
  package mutating func beginMatrix() {
    components = 0
    for i in activities.indices { activities[i] = opening }
  }

  package struct Component {
    let models: UnsafeMutablePointer<BinaryModel>
    let activities: UnsafeMutableBufferPointer<UInt16>
    fileprivate let rates: UnsafePointer<Int32>
    fileprivate let contexts: UnsafePointer<UInt8>
    fileprivate let inertia: UInt16
    fileprivate let usesRun: Bool
    let quantizer: Quantizer
    /// Whether nothing has been learned before.
    let isFirst: Bool
    fileprivate var run: UInt16

    var count: Int { activities.count }

    /// How many models there are.
    var modelCount: Int { quantizer == .trellis ? 2 * SymbolModels.count : SymbolModels.count }

    @inline(__always)
    func context(_ i: Int) -> Int {
      let a = activities[i]
      return Int(contexts[Int((usesRun ? (a &+ run) >> 1 : a) >> 4)])
    }

    @inline(__always)
    mutating func note(_ magnitude: Int, at i: Int) {
      let m = Int32(truncatingIfNeeded: min(magnitude, SymbolModels.largestActivity)) << 8
      let a = Int32(activities[i])
      activities[i] = UInt16(truncatingIfNeeded: a &+ ((m &- a) >> Int32(inertia)))
      if usesRun { run = UInt16(truncatingIfNeeded: Int32(run) &+ ((m &- Int32(run)) >> 4)) }
    }
  }
}

extension SymbolModels.Component {
  private typealias M = SymbolModels

  /// The models of whether a magnitude is above 2, 3, …, less 2.
  @inline(__always)
  private func more(_ models: UnsafeMutablePointer<BinaryModel>, _ context: Int) -> UnsafeMutablePointer<BinaryModel> {
    models + (M.more + context / (M.contexts / 3) * (M.unary - 1) - 2)
  }

  /// Writes a component.
  ///
  /// - Precondition: `integers` are as many as places, and what the quantiser makes of symbols (TMP-10-9).
  package mutating func encode(_ integers: UnsafeBufferPointer<Int16>, _ coder: inout RangeEncoder) {
    var state = TrellisState()
    for i in 0..<count {
      let size = Int(integers[i].magnitude)
      var set = models
      var magnitude = size
      if quantizer == .trellis {
        set += state.grid * M.count
        magnitude = state.magnitude(of: size)
        state.advance(magnitude)
      }
      encode(magnitude, context(i), integers[i] < 0, set, &coder)
      note(magnitude, at: i)
    }
  }

  @inline(__always)
  private func encode(
    _ magnitude: Int, _ c: Int, _ isNegative: Bool, _ models: UnsafeMutablePointer<BinaryModel>,
    _ coder: inout RangeEncoder
  ) {
    coder.encode(magnitude != 0, &models[M.zero + c], rates)
    if magnitude == 0 { return }
    coder.encode(isNegative)
    coder.encode(magnitude != 1, &models[M.one + c], rates)
    if magnitude == 1 { return }
    let more = more(models, c)
    for i in 2...M.unary {
      coder.encode(magnitude > i, &more[i], rates)
      if magnitude <= i { return }
    }
    let rest = UInt32(magnitude - M.unary)
    let length = 31 - rest.leadingZeroBitCount
    for k in 0...length where k < 14 { coder.encode(k < length, &models[M.length + k], rates) }
    if length > 0 {
      coder.encode(rest >> UInt32(length - 1) & 1 == 1, &models[M.top + length], rates)
      coder.encode(bits: rest, count: length - 1)
    }
  }

  /// Reads a component.
  ///
  /// - Returns: whether all magnitudes were within range; those that were not are cut.
  package mutating func decode(_ integers: UnsafeMutableBufferPointer<Int16>, _ coder: inout RangeDecoder) -> Bool {
    precondition(integers.count == count)
    // Local, so that it stays in registers.
    var local = coder
    var state = TrellisState()
    var sound = true
    let largest = quantizer.largestMagnitude
    for i in 0..<count {
      let c = context(i)
      let set = quantizer == .trellis ? models + state.grid * M.count : models
      var integer: Int16 = 0
      var magnitude = 0
      if local.decode(&set[M.zero + c], rates) {
        let isNegative = local.decode()
        magnitude = 1
        if local.decode(&set[M.one + c], rates) { magnitude = decodeLarge(c, set, &local) }
        if magnitude > largest {
          sound = false
          magnitude = largest
        }
        let size = quantizer == .trellis ? state.size(of: magnitude) : magnitude
        integer = Int16(truncatingIfNeeded: isNegative ? 0 &- size : size)
      }
      integers[i] = integer
      if quantizer == .trellis { state.advance(magnitude) }
      note(magnitude, at: i)
    }
    coder = local
    return sound
  }

  @inline(__always)
  private func decodeLarge(
    _ c: Int, _ models: UnsafeMutablePointer<BinaryModel>, _ coder: inout RangeDecoder
  ) -> Int {
    let more = more(models, c)
    for i in 2...M.unary where !coder.decode(&more[i], rates) { return i }
    var length = 0
    while length < 14, coder.decode(&models[M.length + length], rates) { length += 1 }
    var rest: UInt32 = 1
    if length > 0 {
      rest = 2 | (coder.decode(&models[M.top + length], rates) ? 1 : 0)
      rest = rest << UInt32(length - 1) | coder.decode(bits: length - 1)
    }
    return M.unary + Int(rest)
  }
}

extension SymbolModels.Component {
  /// The integers near `values` for which squared error + `slope` · bits is about least; and learns their symbols.
  ///
  /// - Parameters:
  ///   - values: in units of the integers; finite.
  ///   - slope: in squares of these units a bit.
  /// - Returns: the bits that they take, nearly.
  @discardableResult
  package mutating func quantize(
    _ values: UnsafeBufferPointer<Float>, slope: Float, into integers: UnsafeMutableBufferPointer<Int16>
  ) -> Double {
    precondition(values.count == count && integers.count == count)
    switch quantizer {
    case .uniform: return quantizeUniformly(values, slope: slope, into: integers)
    case .trellis: return quantizeByTrellis(values, slope: slope, into: integers)
    }
  }

  /// Each symbol by itself, one after another.
  private mutating func quantizeUniformly(
    _ values: UnsafeBufferPointer<Float>, slope: Float, into symbols: UnsafeMutableBufferPointer<Int16>
  ) -> Double {
    var total = 0.0
    for i in 0..<count {
      let c = context(i)
      let value = min(values[i].magnitude, Float(M.largest))
      let low = value.rounded(.down)
      let nearest = value - low > 0.5 ? low + 1 : low
      var best = Int(nearest)
      if nearest > 0 {
        // Downwards only: what is larger costs more, but where a model is odd; and it is further away.
        var least = (value - nearest) * (value - nearest) + slope * bits(best, c, models)
        let lower = nearest > 1 ? (nearest > low ? 1 : 2) : 1
        for d in 1...lower {
          let candidate = best - (d == 1 ? 1 : Int(nearest))
          let distance = value - Float(candidate)
          if distance * distance >= least { continue }
          let sum = distance * distance + slope * bits(candidate, c, models)
          if sum < least {
            least = sum
            best = candidate
          }
        }
      }
      symbols[i] = Int16(truncatingIfNeeded: values[i] < 0 ? -best : best)
      total += Double(bits(best, c, models))
      learn(best, c, models)
      note(best, at: i)
    }
    return total
  }

  /// What a magnitude costs now, its sign among it.
  @inline(__always)
  package func bits(_ magnitude: Int, _ c: Int, _ models: UnsafeMutablePointer<BinaryModel>) -> Float {
    if magnitude == 0 { return models[M.zero + c].bits(false) }
    var sum = models[M.zero + c].bits(true) + 1 + models[M.one + c].bits(magnitude > 1)
    if magnitude == 1 { return sum }
    let more = more(models, c)
    for i in 2...M.unary {
      sum += more[i].bits(magnitude > i)
      if magnitude <= i { return sum }
    }
    let length = 31 - UInt32(magnitude - M.unary).leadingZeroBitCount
    for k in 0...length where k < 14 { sum += models[M.length + k].bits(k < length) }
    return sum + Float(length)
  }

  /// What magnitudes of 0...13 cost, context by context.
  func bitsOfSmallMagnitudes(_ models: UnsafeMutablePointer<BinaryModel>) -> [Float] {
    (0..<M.contexts).flatMap { c in
      let (zero, one, more) = (models[M.zero + c], models[M.one + c], more(models, c))
      var above = zero.bits(true) + 1 + one.bits(true)
      return [zero.bits(false), zero.bits(true) + 1 + one.bits(false)]
        + (2...M.unary).map { i in
          defer { above += more[i].bits(true) }
          return above + more[i].bits(false)
        }
    }
  }

  @inline(__always)
  func learn(_ magnitude: Int, _ c: Int, _ models: UnsafeMutablePointer<BinaryModel>) {
    models[M.zero + c].learn(magnitude != 0, rates)
    if magnitude == 0 { return }
    models[M.one + c].learn(magnitude != 1, rates)
    if magnitude == 1 { return }
    let more = more(models, c)
    for i in 2...M.unary {
      more[i].learn(magnitude > i, rates)
      if magnitude <= i { return }
    }
    let length = 31 - UInt32(magnitude - M.unary).leadingZeroBitCount
    for k in 0...length where k < 14 { models[M.length + k].learn(k < length, rates) }
  }
}

extension BinaryModel {
  /// −log₂ of probabilities of (i + ½) ÷ 4096, by repeated squaring: the same on every machine.
  private static let bitsOfProbability: [Float] = (0..<4096).map { i in
    var x = (Double(i) + 0.5) / 4096
    var bits = -Double(x.exponent)
    x = x.significand
    var place = 0.5
    for _ in 0..<24 {
      x *= x
      if x >= 2 {
        x /= 2
        bits -= place
      }
      place /= 2
    }
    return Float(bits)
  }

  @inline(__always)
  fileprivate func bits(_ bit: Bool) -> Float {
    let p = bit ? 65_535 - Int(probability) : Int(probability)
    return Self.bitsOfProbability.withUnsafeBufferPointer { $0[p >> 4] }
  }
}
