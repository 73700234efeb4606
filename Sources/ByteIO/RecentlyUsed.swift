/// Values of a bounded size together: when one more does not fit, those go that were used longest ago.
package struct RecentlyUsed<Key: Hashable, Value> {
  private var entries: [Key: (value: Value, size: Int, use: UInt64)] = [:]
  private var uses: UInt64 = 0
  private let limit: Int

  /// Of the values that are there.
  package private(set) var size = 0

  /// - Parameter limit: of their sizes together.
  package init(limit: Int) { self.limit = limit }

  package var count: Int { entries.count }

  package mutating func value(for key: Key) -> Value? {
    guard let value = entries[key]?.value else { return nil }
    uses += 1
    entries[key]!.use = uses
    return value
  }

  /// Keeps a value, unless there is one for the key or it is larger than the limit.
  ///
  /// - Returns: how many others went.
  /// - Complexity: O(count) for each that goes.
  @discardableResult
  package mutating func keep(_ value: Value, for key: Key, size new: Int) -> Int {
    guard new <= limit, entries[key] == nil else { return 0 }
    var gone = 0
    while size > limit - new, let oldest = entries.min(by: { $0.value.use < $1.value.use }) {
      entries[oldest.key] = nil
      size -= oldest.value.size
      gone += 1
    }
    uses += 1
    entries[key] = (value, new, uses)
    size += new
    return gone
  }
}
