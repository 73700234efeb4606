#include "elements.h"

INLINE float from_bf16(uint16_t bits) { return as_float((uint32_t)bits << 16); }

INLINE float from_f16(uint16_t bits) {
  const uint32_t sign = (uint32_t)(bits & 0x8000) << 16, exponent = bits & 0x7C00, magnitude = bits & 0x7FFF;
  const uint32_t normal = (magnitude << 13) + (exponent == 0x7C00 ? (224u << 23) : (112u << 23));
  const uint32_t subnormal = float_bits((float)(int32_t)magnitude * 0x1p-24f);
  return as_float(sign | (exponent == 0 ? subnormal : normal));
}

INLINE uint16_t to_bf16(uint32_t bits) {
  const uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
  return (uint16_t)((bits & 0x7FFFFFFF) > 0x7F800000 ? 0x7FC0 : rounded);
}

INLINE uint16_t to_f16(uint32_t bits) {
  const uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7FFFFFFF;
  // Adding 0.5 leaves the value, rounded to a multiple of 2^-24, in the low bits.
  const uint32_t small = magnitude < 0x38800000 ? magnitude : 0;
  const uint32_t subnormal = float_bits(as_float(small) + 0.5f) - 0x3F000000;
  const uint32_t normal = (magnitude + 0xFFF + (magnitude >> 13 & 1) - 0x38000000) >> 13;
  const uint32_t finite = magnitude < 0x38800000 ? subnormal : normal;
  const uint32_t number = sign | (magnitude >= 0x477FF000 ? 0x7C00 : finite);
  return (uint16_t)(magnitude > 0x7F800000 ? 0x7E00 : number);
}

// Rounds to odd, for a second rounding to a format with at least two bits less (Boldo and Melquiond, 2008): of the two
// neighbours of a number that is none itself, the odd one. NaN stays one.
INLINE uint32_t odd_bits(double value) {
  const float nearest = (float)value;
  const double back = (double)nearest;
  const uint32_t bits = float_bits(nearest);
  const uint32_t moved = fabs(back) < fabs(value) ? bits + 1 : bits - 1;
  const bool moves = (back < value) | (back > value);
  return (moves & !(bits & 1)) ? moved : bits;
}

INLINE uint64_t checked_f64(double value) { return value != value ? (uint64_t)0x7FF8 << 48 : double_bits(value); }
INLINE uint32_t checked_f32(float value) { return value != value ? 0x7FC00000 : float_bits(value); }

#define CONVERSION(name, parameters, from, to, step) \
  INLINE void name##_any parameters { \
    for (size_t i = 0; i < count; i++) step \
  } \
  VARIANTS(void, name, parameters, from, to, count)

#define WIDEN(name, scalar, stored, value) \
  CONVERSION(name, (const void *restrict bytes, scalar *restrict values, size_t count), bytes, values, { \
    LOAD(stored, bytes, i, x); \
    values[i] = (scalar)(value); \
  })
WIDEN(f64_to_f64, double, double, x)
WIDEN(f32_to_f64, double, float, x)
WIDEN(f16_to_f64, double, uint16_t, from_f16(x))
WIDEN(bf16_to_f64, double, uint16_t, from_bf16(x))
WIDEN(f64_to_f32, float, double, x)
WIDEN(f32_to_f32, float, float, x)
WIDEN(f16_to_f32, float, uint16_t, from_f16(x))
WIDEN(bf16_to_f32, float, uint16_t, from_bf16(x))

#define ROUND(name, scalar, stored, value) \
  CONVERSION(name, (const scalar *restrict values, void *restrict bytes, size_t count), values, bytes, { \
    const scalar x = values[i]; \
    STORE(stored, bytes, i, value); \
  })
ROUND(f64_as_f64, double, uint64_t, checked_f64(x))
ROUND(f64_as_f32, double, uint32_t, checked_f32((float)x))
ROUND(f64_as_f16, double, uint16_t, to_f16(odd_bits(x)))
ROUND(f64_as_bf16, double, uint16_t, to_bf16(odd_bits(x)))
ROUND(f32_as_f64, float, uint64_t, checked_f64((double)x))
ROUND(f32_as_f32, float, uint32_t, checked_f32(x))
ROUND(f32_as_f16, float, uint16_t, to_f16(float_bits(x)))
ROUND(f32_as_bf16, float, uint16_t, to_bf16(float_bits(x)))

void tmpack_widen_f64(tmpack_isa isa, tmpack_element type, const void *bytes, double *values, size_t count) {
  switch (type) {
    case TMPACK_F64: DISPATCH(f64_to_f64, bytes, values, count)
    case TMPACK_F32: DISPATCH(f32_to_f64, bytes, values, count)
    case TMPACK_F16: DISPATCH(f16_to_f64, bytes, values, count)
    case TMPACK_BF16: DISPATCH(bf16_to_f64, bytes, values, count)
  }
}

void tmpack_widen_f32(tmpack_isa isa, tmpack_element type, const void *bytes, float *values, size_t count) {
  switch (type) {
    case TMPACK_F64: DISPATCH(f64_to_f32, bytes, values, count)
    case TMPACK_F32: DISPATCH(f32_to_f32, bytes, values, count)
    case TMPACK_F16: DISPATCH(f16_to_f32, bytes, values, count)
    case TMPACK_BF16: DISPATCH(bf16_to_f32, bytes, values, count)
  }
}

void tmpack_round_f64(tmpack_isa isa, tmpack_element type, const double *values, void *bytes, size_t count) {
  switch (type) {
    case TMPACK_F64: DISPATCH(f64_as_f64, values, bytes, count)
    case TMPACK_F32: DISPATCH(f64_as_f32, values, bytes, count)
    case TMPACK_F16: DISPATCH(f64_as_f16, values, bytes, count)
    case TMPACK_BF16: DISPATCH(f64_as_bf16, values, bytes, count)
  }
}

void tmpack_round_f32(tmpack_isa isa, tmpack_element type, const float *values, void *bytes, size_t count) {
  switch (type) {
    case TMPACK_F64: DISPATCH(f32_as_f64, values, bytes, count)
    case TMPACK_F32: DISPATCH(f32_as_f32, values, bytes, count)
    case TMPACK_F16: DISPATCH(f32_as_f16, values, bytes, count)
    case TMPACK_BF16: DISPATCH(f32_as_bf16, values, bytes, count)
  }
}

#define DIFFERENCE(name, stored, wide, value) \
  INLINE void name##_any(const void *restrict own, const void *restrict reference, float *restrict values, size_t count) { \
    for (size_t i = 0; i < count; i++) { \
      LOAD(stored, own, i, x); \
      LOAD(stored, reference, i, y); \
      const wide a = value(x), b = value(y); \
      values[i] = a == b ? 0 : (float)(a - b); \
    } \
  } \
  VARIANTS( \
      void, name, (const void *own, const void *reference, float *values, size_t count), own, reference, values, count)
DIFFERENCE(f64_difference, double, double, )
DIFFERENCE(f32_difference, float, float, )
DIFFERENCE(f16_difference, uint16_t, float, from_f16)
DIFFERENCE(bf16_difference, uint16_t, float, from_bf16)

void tmpack_difference_f32(
    tmpack_isa isa, tmpack_element type, const void *own, const void *reference, float *values, size_t count) {
  switch (type) {
    case TMPACK_F64: DISPATCH(f64_difference, own, reference, values, count)
    case TMPACK_F32: DISPATCH(f32_difference, own, reference, values, count)
    case TMPACK_F16: DISPATCH(f16_difference, own, reference, values, count)
    case TMPACK_BF16: DISPATCH(bf16_difference, own, reference, values, count)
  }
}

// Blocks, so that an early one ends the search; no exit within one, so that vectors are used.
#define FINITE(name, stored, exponent) \
  INLINE bool name##_any(const void *bytes, size_t count) { \
    for (size_t start = 0; start < count; start += 4096) { \
      const size_t end = count - start < 4096 ? count : start + 4096; \
      stored found = 0; \
      for (size_t i = start; i < end; i++) { \
        LOAD(stored, bytes, i, x); \
        found |= (stored)((x & (exponent)) == (exponent) ? ~(stored)0 : 0); \
      } \
      if (found) return false; \
    } \
    return true; \
  } \
  VARIANTS(bool, name, (const void *bytes, size_t count), bytes, count)
FINITE(f64_is_finite, uint64_t, (uint64_t)0x7FF << 52)
FINITE(f32_is_finite, uint32_t, 0x7F800000u)
FINITE(f16_is_finite, uint16_t, 0x7C00u)
FINITE(bf16_is_finite, uint16_t, 0x7F80u)

bool tmpack_is_finite(tmpack_isa isa, tmpack_element type, const void *bytes, size_t count) {
  switch (type) {
    case TMPACK_F64: DISPATCH(f64_is_finite, bytes, count)
    case TMPACK_F32: DISPATCH(f32_is_finite, bytes, count)
    case TMPACK_F16: DISPATCH(f16_is_finite, bytes, count)
    case TMPACK_BF16: DISPATCH(bf16_is_finite, bytes, count)
  }
}

// MARK: Sizes

INLINE uint32_t largest_magnitude_any(const float *values, size_t count) {
  uint32_t largest = 0;
  for (size_t i = 0; i < count; i++) {
    const uint32_t magnitude = float_bits(values[i]) & 0x7FFFFFFF;
    largest = magnitude > largest ? magnitude : largest;
  }
  return largest;
}
VARIANTS(uint32_t, largest_magnitude, (const float *values, size_t count), values, count)

uint32_t tmpack_largest_magnitude_f32(tmpack_isa isa, const float *values, size_t count) {
  DISPATCH(largest_magnitude, values, count)
}

typedef float eight_floats __attribute__((vector_size(32), aligned(4)));
typedef double eight_doubles __attribute__((vector_size(64), aligned(8)));

INLINE void sum_squares_any(const float *values, size_t count, double *lanes) {
  eight_doubles sums = {0};
  for (size_t i = 0; i < count; i += 8) {
    const eight_doubles wide = __builtin_convertvector(*(const eight_floats *)(values + i), eight_doubles);
    sums += wide * wide;
  }
  *(eight_doubles *)lanes = sums;
}
VARIANTS(void, sum_squares, (const float *values, size_t count, double *lanes), values, count, lanes)

void tmpack_sum_squares_f32(tmpack_isa isa, const float *values, size_t count, double *lanes) {
  DISPATCH(sum_squares, values, count, lanes)
}
