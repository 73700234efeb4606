import TMPackCKernels

/// Elements of given ranks in sequences too long to hold or to sort, found exactly by going through them several times.
///
/// Numbers compare as their bits do, mapped to unsigned integers of the same order. Each pass counts, for each query, the
/// next 15 bits of the numbers that share the bits known so far, until few enough are left to be kept and sorted, or few
/// different ones, as among differences of short floats. Counts add up in any order, so the result does not depend on who
/// counts what.
///
/// Memory: for each query 768 KiB at most, or 512 KiB of kept numbers, in `self` and in every `Tally`.
package struct OrderStatistics: Sendable {
  /// One element that is looked for.
  package struct Query: Sendable {
    let sequence: Int
    /// From 0, the smallest, to `count - 1`.
    let rank: Int
    /// How many elements the sequence has.
    let count: Int

    package init(sequence: Int, rank: Int, count: Int) {
      precondition(0..<count ~= rank)
      self.sequence = sequence
      self.rank = rank
      self.count = count
    }
  }

  private static let digitBits = 15
  private static let keptNumbers = 1 << 16

  /// Where the search for one query is: among the numbers whose upper `knownBits` are `prefix`.
  fileprivate struct Search {
    let sequence: Int
    /// Among those numbers.
    var rank: Int
    var count: Int
    var prefix: UInt64 = 0
    var knownBits = 0
    var found: Double?

    var digitBits: Int { min(OrderStatistics.digitBits, 64 - knownBits) }
    /// Of a number that has the prefix.
    func digit(of key: UInt64) -> Int {
      Int(truncatingIfNeeded: key &>> UInt64(64 - knownBits - digitBits) & (1 << UInt64(digitBits) - 1))
    }
    var keeps: Bool { count <= OrderStatistics.keptNumbers }

    /// Calls `body` with the keys of those values that have the prefix, in their order.
    func forEachKey(of values: UnsafeBufferPointer<Double>, _ body: (UInt64) -> Void) {
      guard knownBits > 0 else { return values.forEach { body(key($0)) } }
      let block = 1024
      withUnsafeTemporaryAllocation(of: UInt64.self, capacity: block) { keys in
        for start in stride(from: 0, to: values.count, by: block) {
          let found = tmpack_collect_keys(
            values.baseAddress! + start, min(block, values.count - start), prefix, UInt32(knownBits), keys.baseAddress)
          for key in keys[..<found] { body(key) }
        }
      }
    }
  }

  /// What one pass, or a part of it, saw.
  package struct Tally: Sendable {
    fileprivate enum Evidence: Sendable {
      /// Of digits; and of the numbers themselves, where some bits are known and there are few different ones.
      case counts([UInt64], KeyCounts?)
      case kept([UInt64])
      case none
    }
    fileprivate let searches: [Search]
    fileprivate var evidence: [Evidence]

    fileprivate init(_ searches: [Search], ofAtMost count: Int = .max) {
      self.searches = searches
      evidence = searches.map { search in
        if search.found != nil { return .none }
        // As many counts as there are digits would be more work than the numbers are.
        return search.keeps || count < 1 << (OrderStatistics.digitBits - 2)
          ? .kept([])
          : .counts([UInt64](repeating: 0, count: 1 << search.digitBits), search.knownBits == 0 ? nil : KeyCounts())
      }
    }

    /// Takes in some elements of a sequence, in any order. None may be NaN.
    package mutating func add(_ values: UnsafeBufferPointer<Double>, to sequence: Int) {
      for (index, search) in searches.enumerated() where search.sequence == sequence && search.found == nil {
        var own = Evidence.none
        // Taken out, so that it is changed in place.
        swap(&own, &evidence[index])
        switch own {
        case .kept(var kept):
          own = .none
          search.forEachKey(of: values) { kept.append($0) }
          own = .kept(kept)
        case .counts(var counts, var keys):
          own = .none
          counts.withUnsafeMutableBufferPointer { counts in
            if search.knownBits == 0 {
              tmpack_count_digits(values.baseAddress, values.count, UInt32(search.digitBits), counts.baseAddress)
            } else {
              search.forEachKey(of: values) {
                counts[search.digit(of: $0)] += 1
                KeyCounts.add(1, of: $0, to: &keys)
              }
            }
          }
          own = .counts(counts, keys)
        case .none: break
        }
        swap(&own, &evidence[index])
      }
    }

    fileprivate mutating func absorb(_ other: Tally) {
      for index in evidence.indices {
        switch (evidence[index], other.evidence[index]) {
        case (.counts(var counts, var keys), .counts(let more, let others)):
          evidence[index] = .none
          for i in counts.indices { counts[i] += more[i] }
          if let others, keys != nil { others.forEach { KeyCounts.add($1, of: $0, to: &keys) } } else { keys = nil }
          evidence[index] = .counts(counts, keys)
        case (.counts(var counts, var keys), .kept(let more)):
          evidence[index] = .none
          for key in more {
            counts[searches[index].digit(of: key)] += 1
            KeyCounts.add(1, of: key, to: &keys)
          }
          evidence[index] = .counts(counts, keys)
        case (.kept(var kept), .kept(let more)):
          evidence[index] = .none
          kept += more
          evidence[index] = .kept(kept)
        default: break
        }
      }
    }
  }

  private var searches: [Search]
  private var pass: Tally

  package init(_ queries: [Query]) {
    searches = queries.map { Search(sequence: $0.sequence, rank: $0.rank, count: $0.count) }
    pass = Tally(searches)
  }

  /// Whether every query has its answer: no further pass is needed.
  package var isComplete: Bool { searches.allSatisfy { $0.found != nil } }

  /// For a part of the next pass that sees at most `count` elements of each sequence.
  package func tally(ofAtMost count: Int) -> Tally { Tally(searches, ofAtMost: count) }

  package mutating func absorb(_ part: Tally) { pass.absorb(part) }

  /// To be called when all elements of all sequences are absorbed.
  package mutating func finishPass() {
    for index in searches.indices { searches[index].narrow(pass.evidence[index]) }
    pass = Tally(searches)
  }

  /// The answer to a query.
  /// - Precondition: the search is complete.
  package subscript(query: Int) -> Double { searches[query].found! }
}

extension OrderStatistics.Search {
  fileprivate mutating func narrow(_ evidence: OrderStatistics.Tally.Evidence) {
    switch evidence {
    case .none: break
    case .kept(let kept):
      // There are as many as were counted, unless a file changed meanwhile.
      found = kept.isEmpty ? 0 : value(ofKey: kept.sorted()[min(rank, kept.count - 1)])
    case .counts(_, let keys?):
      found = value(ofKey: keys.key(ofRank: rank))
    case .counts(let counts, nil):
      var digit = 0
      while digit < counts.count - 1, rank >= counts[digit] {
        rank -= Int(counts[digit])
        digit += 1
      }
      prefix = prefix << UInt64(digitBits) | UInt64(digit)
      count = Int(counts[digit])
      knownBits += digitBits
      if knownBits == 64 { found = value(ofKey: prefix) }
    }
  }
}

/// How often each of a few keys occurs: a table with open addressing, at most half full.
///
/// Memory: 512 KiB at most.
private struct KeyCounts: Sendable {
  private static let mostSlots = 1 << 15
  private var keys = [UInt64](repeating: 0, count: 1 << 9)
  /// 0 in a slot that is free.
  private var counts = [UInt64](repeating: 0, count: 1 << 9)
  private var used = 0

  /// Makes the table nil when there are too many different keys.
  @inline(__always)
  static func add(_ count: UInt64, of key: UInt64, to table: inout KeyCounts?) {
    if table?.add(count, of: key) == false { table = nil }
  }

  private mutating func add(_ count: UInt64, of key: UInt64) -> Bool {
    var slot = slot(of: key)
    if counts[slot] == 0 {
      if used == keys.count / 2 {
        guard keys.count < Self.mostSlots else { return false }
        grow()
        slot = self.slot(of: key)
      }
      used += 1
      keys[slot] = key
    }
    counts[slot] += count
    return true
  }

  /// Where the key is, or can be put.
  private func slot(of key: UInt64) -> Int {
    let mask = keys.count - 1
    var slot = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
    while counts[slot] != 0, keys[slot] != key { slot = (slot + 1) & mask }
    return slot
  }

  private mutating func grow() {
    let (oldKeys, oldCounts) = (keys, counts)
    keys = [UInt64](repeating: 0, count: 4 * oldKeys.count)
    counts = keys
    for (key, count) in zip(oldKeys, oldCounts) where count != 0 {
      let slot = slot(of: key)
      (keys[slot], counts[slot]) = (key, count)
    }
  }

  func forEach(_ body: (_ key: UInt64, _ count: UInt64) -> Void) {
    for slot in keys.indices where counts[slot] != 0 { body(keys[slot], counts[slot]) }
  }

  /// The key at a place of all in ascending order; the last one if there are not so many.
  func key(ofRank rank: Int) -> UInt64 {
    var rank = rank
    var last: UInt64 = 1 << 63
    for slot in keys.indices.filter({ counts[$0] != 0 }).sorted(by: { keys[$0] < keys[$1] }) {
      last = keys[slot]
      if rank < counts[slot] { break }
      rank -= Int(counts[slot])
    }
    return last
  }
}

/// Orders as the numbers do.
@inline(__always)
private func key(_ value: Double) -> UInt64 {
  let bits = value.bitPattern
  return bits ^ (UInt64(bitPattern: Int64(bitPattern: bits) >> 63) | 1 << 63)
}

private func value(ofKey key: UInt64) -> Double {
  Double(bitPattern: key >> 63 == 1 ? key ^ 1 << 63 : ~key)
}
