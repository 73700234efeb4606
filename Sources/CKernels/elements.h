#pragma once

#include <math.h>
#include <string.h>

#include "CElements.h"

// Products are rounded before they are added.
#pragma STDC FP_CONTRACT OFF

#define INLINE static inline __attribute__((always_inline))

// Plain loops, compiled once for each instruction set: an inlined body takes its caller's target. The file is
// little-endian as the formats are.
#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2,fma"), min_vector_width(256)))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"), min_vector_width(512)))
#define VARIANTS(result, name, parameters, ...) \
  AVX2 static result name##_avx2 parameters { return name##_any(__VA_ARGS__); } \
  AVX512 static result name##_avx512 parameters { return name##_any(__VA_ARGS__); }
#define DISPATCH(name, ...) \
  if (isa == TMPACK_ISA_AVX512 && has_avx512()) return name##_avx512(__VA_ARGS__); \
  if (isa != TMPACK_ISA_PORTABLE) return name##_avx2(__VA_ARGS__); \
  return name##_any(__VA_ARGS__);

// What the vectors of 512 bits here need beyond AVX-512F, which processors have had since 2017.
static bool has_avx512(void) {
  return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#else
#define VARIANTS(result, name, parameters, ...)
#define DISPATCH(name, ...) \
  (void)isa; \
  return name##_any(__VA_ARGS__);
#endif

// MARK: Bits

INLINE float as_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

INLINE uint32_t float_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  return bits;
}

INLINE uint64_t double_bits(double value) {
  uint64_t bits;
  memcpy(&bits, &value, 8);
  return bits;
}

#define LOAD(type, bytes, i, name) \
  type name; \
  memcpy(&name, (const char *)(bytes) + (i) * sizeof(type), sizeof(type))
#define STORE(type, bytes, i, value) \
  { \
    const type stored = (value); \
    memcpy((char *)(bytes) + (i) * sizeof(type), &stored, sizeof(type)); \
  }
