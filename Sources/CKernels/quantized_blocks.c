#include "elements.h"

INLINE uint16_t rounded_half(float value) {
  const uint32_t bits = float_bits(value);
  if (bits >= 0x477FF000) return 0x7C00;
  if (bits < 0x38800000) return (uint16_t)(float_bits(value + 0.5f) - 0x3F000000);
  return (uint16_t)((bits + 0xFFF + (bits >> 13 & 1) - 0x38000000) >> 13);
}

INLINE bool quantize_q8_0_any(const float *restrict values, size_t blocks, void *restrict bytes) {
  char *target = bytes;
  uint16_t largest_scale = 0;
  for (size_t block = 0; block < blocks; block++, values += 32, target += 34) {
    uint32_t largest = 0;
    // Magnitudes have the order of their bits.
    for (size_t j = 0; j < 32; j++) {
      const uint32_t magnitude = float_bits(values[j]) & 0x7FFFFFFF;
      largest = magnitude > largest ? magnitude : largest;
    }
    float magnitude;
    memcpy(&magnitude, &largest, 4);
    const float scale = magnitude / 127;
    const float inverse = scale == 0 ? 0 : 1 / scale;
    const uint16_t bits = rounded_half(scale);
    largest_scale = bits > largest_scale ? bits : largest_scale;
    STORE(uint16_t, target, 0, bits)
    int8_t quants[32];
    for (size_t j = 0; j < 32; j++) {
      // A subnormal scale has no inverse; in this order the bounds also catch what becomes of 0 * inf.
      const float product = values[j] * inverse;
      const float above = product >= -127 ? product : -127;
      const float bounded = above < 127 ? above : 127;
      // Halves away from zero, as roundf does: the largest float below a half brings no other number to the next one.
      quants[j] = (int8_t)(int32_t)(bounded + copysignf(0.49999997f, bounded));
    }
    memcpy(target + 2, quants, 32);
  }
  return largest_scale < 0x7C00;
}
VARIANTS(bool, quantize_q8_0, (const float *values, size_t blocks, void *bytes), values, blocks, bytes)

bool tmpack_quantize_q8_0(tmpack_isa isa, const float *values, size_t blocks, void *bytes) {
  DISPATCH(quantize_q8_0, values, blocks, bytes)
}
