import TMPackFactors
import TMPackTensorKit
import Testing

@Suite struct MixedProductTests {
  /// Every kernel of this machine against addition in binary32 and one rounding, on whole and partial tiles.
  @Test(arguments: InstructionSet.available, [FloatFormat.f32, .bf16, .f16])
  func givesTheBitsOfSeparateSteps(_ isa: InstructionSet, _ format: FloatFormat) throws {
    for (rows, columns, ranks) in [
      (6, 64, [3]), (1, 1, [1]), (25, 130, [4, 1]), (7, 63, [16]), (49, 200, [2, 2, 2]), (1, 300, [5]), (300, 1, [5]),
      // Wider than what of the right sides stays in the cache.
      (13, 700, [90, 70]),
    ] {
      let shared = elements(rows * columns, format)
      let products = ranks.enumerated().map { index, rank in
        LowRankProduct(
          rows: rows, columns: columns, rank: rank, left: special(noise(rows * rank, seed: UInt64(index + 1))),
          right: noise(rank * columns, seed: UInt64(index + 9)), scale: 1)
      }
      var expected = [UInt8](repeating: 0, count: shared.count)
      var sum = [Float](repeating: 0, count: rows * columns)
      shared.withUnsafeBytes { raw in sum.withUnsafeMutableBufferPointer { format.widen(raw, into: $0) } }
      for product in products {
        Float.accumulateLowRank(
          .portable, &sum, rows: rows, columns: columns, left: product.left, right: product.right, rank: product.rank)
      }
      expected.withUnsafeMutableBytes { raw in sum.withUnsafeBufferPointer { format.round($0, into: raw) } }

      var found = [UInt8](repeating: 0xAA, count: shared.count)
      let product = try #require(MixedProduct(products.map { WeightedProduct($0) }, for: format, using: isa))
      found.withUnsafeMutableBytes { target in
        shared.withUnsafeBytes { product.add(to: $0, into: target, rows: 0..<rows) }
      }
      #expect(found == expected, "\(rows) × \(columns), \(ranks)")

      let part = rows / 3..<rows
      let bytes = part.lowerBound * columns * format.byteWidth..<shared.count
      var some = [UInt8](repeating: 0xAA, count: bytes.count)
      some.withUnsafeMutableBytes { target in
        shared.withUnsafeBytes {
          product.add(to: UnsafeRawBufferPointer(rebasing: $0[bytes]), into: target, rows: part)
        }
      }
      #expect(some == Array(expected[bytes]), "rows \(part) of \(rows) × \(columns), \(ranks)")
    }
  }

  /// Elements that cover zeros of both signs, subnormal numbers, the largest ones, infinities and NaN.
  private func elements(_ count: Int, _ format: FloatFormat) -> [UInt8] {
    var values = noise(count, seed: 77)
    let edges: [Float] = [
      0, -0, 1e-7, -6e-8, 65504, -65519, 65520, 3e38, .infinity, -.infinity, .nan, 0x1p-140, -0x1p-149, 0x1p-14,
      0x1.ffcp-15,
    ]
    for i in values.indices where i % 3 == 0 { values[i] = edges[(i / 3) % edges.count] }
    var bytes = [UInt8](repeating: 0, count: count * format.byteWidth)
    bytes.withUnsafeMutableBytes { raw in values.withUnsafeBufferPointer { format.round($0, into: raw) } }
    return bytes
  }

  private func special(_ values: [Float]) -> [Float] {
    values.enumerated().map { $0 % 5 == 0 ? -0 : $0 % 7 == 0 ? $1 * 1e-30 : $1 }
  }
}
