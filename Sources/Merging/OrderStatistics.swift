/// Elements of given ranks in sequences too long to hold or to sort, found exactly by going through them several times.
///
/// Numbers compare as their bits do, mapped to unsigned integers of the same order. Each pass counts, for each query, the
/// next 15 bits of the numbers that share the bits known so far, until few enough are left to be kept and sorted. Counts
/// add up in any order, so the result does not depend on who counts what.
///
/// Memory: for each query 256 KiB, or at most 512 KiB of kept numbers, in `self` and in every `Tally`.
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
  }

  /// What one pass, or a part of it, saw.
  package struct Tally: Sendable {
    fileprivate enum Evidence: Sendable {
      case counts([Int])
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
          ? .kept([]) : .counts([Int](repeating: 0, count: 1 << search.digitBits))
      }
    }

    /// Takes in some elements of a sequence, in any order. None may be NaN.
    package mutating func add(_ values: UnsafeBufferPointer<Double>, to sequence: Int) {
      for (index, search) in searches.enumerated() where search.sequence == sequence && search.found == nil {
        var own = Evidence.none
        // Taken out, so that it is changed in place.
        swap(&own, &evidence[index])
        let known = UInt64(64 - search.knownBits)
        switch own {
        case .kept(var kept):
          own = .none
          for value in values where search.knownBits == 0 || key(value) >> known == search.prefix {
            kept.append(key(value))
          }
          own = .kept(kept)
        case .counts(var counts):
          own = .none
          let shift = known - UInt64(search.digitBits)
          let mask = UInt64(1) << UInt64(search.digitBits) - 1
          counts.withUnsafeMutableBufferPointer { counts in
            if search.knownBits == 0 {
              for value in values { counts[Int(truncatingIfNeeded: key(value) &>> shift)] += 1 }
            } else {
              for value in values {
                let key = key(value)
                if key &>> known == search.prefix { counts[Int(truncatingIfNeeded: key &>> shift & mask)] += 1 }
              }
            }
          }
          own = .counts(counts)
        case .none: break
        }
        swap(&own, &evidence[index])
      }
    }

    fileprivate mutating func absorb(_ other: Tally) {
      for index in evidence.indices {
        switch (evidence[index], other.evidence[index]) {
        case (.counts(var counts), .counts(let more)):
          evidence[index] = .none
          for i in counts.indices { counts[i] += more[i] }
          evidence[index] = .counts(counts)
        case (.counts(var counts), .kept(let more)):
          evidence[index] = .none
          for key in more { counts[searches[index].digit(of: key)] += 1 }
          evidence[index] = .counts(counts)
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
    case .counts(let counts):
      var digit = 0
      while digit < counts.count - 1, rank >= counts[digit] {
        rank -= counts[digit]
        digit += 1
      }
      prefix = prefix << UInt64(digitBits) | UInt64(digit)
      count = counts[digit]
      knownBits += digitBits
      if knownBits == 64 { found = value(ofKey: prefix) }
    }
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
