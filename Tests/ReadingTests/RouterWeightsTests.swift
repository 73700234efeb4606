import TMPackReading
import TestSupport
import Testing

@Suite struct RouterWeightsTests {
  @Test func parsesNamesAndNumbers() throws {
    let weights = try RouterWeights(parsing: "math=0.7,code=-3e-1,é=1,e\u{301}=+2,a b=-0")
    #expect(weights.entries.map(\.name) == ["math", "code", "é", "e\u{301}", "a b"])
    #expect(weights.entries.map(\.weight) == [0.7, -0.3, 1, 2, 0])
  }

  // Section 7: "a decimal number is rounded once". By way of binary64 this one would become 1.
  @Test func roundsOnce() throws {
    let text = "1.00000005960464477540"
    #expect(Float(Double(text)!) == 1)
    #expect(try RouterWeights(parsing: "a=\(text)").entries[0].weight == Float(1).nextUp)
  }

  @Test(arguments: [
    "", "a", "a=", "=1", "a=1,", ",a=1", "a=1,,b=1", "a=1=2", "a=x", "a= 1", "a=1 ", "a=nan", "a=inf", "a=-inf",
    "a=1e39",
    "a=1,a=1", "a=0,a=1",
  ]) func refuses(_ text: String) { #expect(code { _ = try RouterWeights(parsing: text) } == .invalidArgument) }

  @Test func refusesWhatIsNotFinite() {
    for weight in [Float.nan, .infinity, -.infinity] {
      #expect(code { _ = try RouterWeights([("a", weight)]) } == .invalidArgument)
    }
  }

  @Test func comparesNamesByTheirBytes() throws {
    #expect(try RouterWeights(parsing: "é=1") != RouterWeights(parsing: "e\u{301}=1"))
    #expect(try RouterWeights(parsing: "é=1") == RouterWeights([("é", 1)]))
    #expect(RouterWeights.shared.entries.isEmpty)
  }
}
