#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The system's logarithm and exponential in binary64: within a few units in the last place (TMP-11-12).
package enum Logarithm {
  static func natural(_ x: Double) -> Double { log(x) }
  package static func exponential(_ x: Double) -> Double { exp(x) }
}
