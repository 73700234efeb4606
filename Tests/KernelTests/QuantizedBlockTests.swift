import TMPackCKernels
import TMPackTensorKit
import Testing

@Suite struct QuantizedBlockTests {
  /// `quantize_row_q8_0_ref`: halves are rounded away from zero.
  @Test(arguments: instructionSets) func givesTheBytesOfOneElementAtATime(_ isa: tmpack_isa) {
    var random = Bits(9)
    for blocks in [1, 2, 33, 400] {
      let values = (0..<32 * blocks).map { index -> Float in
        let value = Float(random.weight())
        return switch index / 32 % 6 {
        case 0: value
        case 1: value * 0x1p-130
        case 2: value * 0x1p-120
        // Halves of the scale, which is 1.
        case 3: index % 32 == 0 ? 127 : (value * 508).rounded() / 2
        case 4: 0
        default: value * 0x1p-20
        }
      }
      var found = [UInt8](repeating: 0, count: 34 * blocks)
      #expect(tmpack_quantize_q8_0(isa, values, blocks, &found))
      let expected = (0..<blocks).flatMap { block in quantized(Array(values[32 * block..<32 * (block + 1)])) }
      #expect(found == expected)
    }
  }

  private func quantized(_ values: [Float]) -> [UInt8] {
    let scale = values.map(\.magnitude).max()! / 127
    let inverse = scale == 0 ? 0 : 1 / scale
    let bits = Half.bits(scale)
    let quants = values.map { value in
      UInt8(bitPattern: Int8(min(127, max(-127, value * inverse)).rounded(.toNearestOrAwayFromZero)))
    }
    return [UInt8(truncatingIfNeeded: bits), UInt8(truncatingIfNeeded: bits >> 8)] + quants
  }

  @Test(arguments: instructionSets) func tellsOfScalesThatAreTooLarge(_ isa: tmpack_isa) {
    var values = [Float](repeating: 1, count: 96)
    var bytes = [UInt8](repeating: 0, count: 102)
    values[40] = 127 * 65504
    #expect(tmpack_quantize_q8_0(isa, values, 3, &bytes))
    values[40] = 127 * 65536
    #expect(!tmpack_quantize_q8_0(isa, values, 3, &bytes))
  }
}
