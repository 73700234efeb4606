import TMPackByteIO
import Testing

@Suite struct RecentlyUsedTests {
  @Test func thoseGoThatWereUsedLongestAgo() {
    var held = RecentlyUsed<String, Int>(limit: 10)
    #expect(held.keep(1, for: "a", size: 4) == 0)
    #expect(held.keep(2, for: "b", size: 4) == 0)
    #expect(held.value(for: "a") == 1)
    #expect(held.keep(3, for: "c", size: 3) == 1)
    #expect(held.value(for: "b") == nil && held.value(for: "a") == 1 && held.value(for: "c") == 3)
    #expect(held.count == 2 && held.size == 7)
    // All others, where it needs the room.
    #expect(held.keep(4, for: "d", size: 10) == 2)
    #expect(held.count == 1 && held.size == 10 && held.value(for: "d") == 4)
  }

  @Test func keepsNothingThatIsLargerThanTheLimitAndNothingTwice() {
    var held = RecentlyUsed<Int, String>(limit: 5)
    held.keep("one", for: 1, size: 5)
    #expect(held.keep("six", for: 6, size: 6) == 0)
    #expect(held.keep("other", for: 1, size: 1) == 0)
    #expect(held.value(for: 1) == "one" && held.size == 5)
    var none = RecentlyUsed<Int, String>(limit: 0)
    none.keep("x", for: 1, size: 1)
    #expect(none.value(for: 1) == nil && none.count == 0)
  }
}
