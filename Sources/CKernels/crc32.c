#include "CChecksums.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define CLMUL __attribute__((target("pclmul,sse4.1")))

/// `next`, with what the 16 bytes of `part` before it add to its remainder: each half times its multiplier.
CLMUL static inline __m128i fold(__m128i part, __m128i multipliers, __m128i next) {
  __m128i low = _mm_clmulepi64_si128(part, multipliers, 0x00);
  __m128i high = _mm_clmulepi64_si128(part, multipliers, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

#define WIDE __attribute__((target("avx512f,avx512vl,vpclmulqdq,pclmul,sse4.1"), min_vector_width(512)))

static bool has_wide(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("vpclmulqdq");
}

/// `fold` of four parts at once.
WIDE static inline __m512i fold_wide(__m512i parts, __m512i multipliers, __m512i next) {
  __m512i low = _mm512_clmulepi64_epi128(parts, multipliers, 0x00);
  __m512i high = _mm512_clmulepi64_epi128(parts, multipliers, 0x11);
  return _mm512_ternarylogic_epi64(low, high, next, 0x96);
}

/// Folds whole runs of 256 bytes, at least one, into the four parts of 64; gives what comes behind them.
WIDE static const __m128i *fold_runs(uint32_t state, const __m128i *next, const __m128i *end, __m128i parts[4]) {
  const __m512i over_256_bytes = _mm512_broadcast_i32x4(_mm_set_epi64x(0x1322D1430, 0x11542778A));
  const __m512i over_64_bytes = _mm512_broadcast_i32x4(_mm_set_epi64x(0x1C6E41596, 0x154442BD4));
  __m512i runs[4];
  for (int i = 0; i < 4; i++) runs[i] = _mm512_loadu_si512(next + 4 * i);
  runs[0] = _mm512_xor_si512(runs[0], _mm512_zextsi128_si512(_mm_cvtsi32_si128((int)state)));
  for (next += 16; end - next >= 16; next += 16) {
    for (int i = 0; i < 4; i++) runs[i] = fold_wide(runs[i], over_256_bytes, _mm512_loadu_si512(next + 4 * i));
  }
  for (int i = 1; i < 4; i++) runs[i] = fold_wide(runs[i - 1], over_64_bytes, runs[i]);
  _mm512_storeu_si512(parts, runs[3]);
  return next;
}

/// V. Gopal and others, Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction, Intel 2009; the
/// multipliers are those of its section on reflected bits: x^n modulo the polynomial, shifted left by one.
CLMUL uint32_t tmpack_crc32(uint32_t state, const void *bytes, size_t count) {
  const __m128i over_64_bytes = _mm_set_epi64x(0x1C6E41596, 0x154442BD4);  // n = 4*128 - 32, 4*128 + 32
  const __m128i over_16_bytes = _mm_set_epi64x(0x0CCAA009E, 0x1751997D0);  // n = 128 - 32, 128 + 32
  const __m128i over_8_bytes = _mm_set_epi64x(0, 0x163CD6124);             // n = 64
  const __m128i reduction = _mm_set_epi64x(0x1F7011641, 0x1DB710641);      // floor(x^64 / polynomial), the polynomial
  const __m128i low_words = _mm_setr_epi32(-1, 0, -1, 0);
  const __m128i *next = bytes;
  const __m128i *end = next + count / sizeof(__m128i);

  __m128i parts[4];
  if (count >= 256 && has_wide()) {
    next = fold_runs(state, next, end, parts);
  } else {
    for (int i = 0; i < 4; i++) parts[i] = _mm_loadu_si128(next++);
    parts[0] = _mm_xor_si128(parts[0], _mm_cvtsi32_si128((int)state));
  }
  for (; end - next >= 4; next += 4) {
    for (int i = 0; i < 4; i++) parts[i] = fold(parts[i], over_64_bytes, _mm_loadu_si128(next + i));
  }
  __m128i sum = parts[0];
  for (int i = 1; i < 4; i++) sum = fold(sum, over_16_bytes, parts[i]);
  while (next < end) sum = fold(sum, over_16_bytes, _mm_loadu_si128(next++));

  // 128 bits to 96, to 64, and by Barrett's method to 32.
  sum = _mm_xor_si128(_mm_srli_si128(sum, 8), _mm_clmulepi64_si128(sum, over_16_bytes, 0x10));
  sum = _mm_xor_si128(
      _mm_srli_si128(sum, 4), _mm_clmulepi64_si128(_mm_and_si128(sum, low_words), over_8_bytes, 0x00));
  __m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(sum, low_words), reduction, 0x10);
  __m128i product = _mm_clmulepi64_si128(_mm_and_si128(quotient, low_words), reduction, 0x00);
  return (uint32_t)_mm_extract_epi32(_mm_xor_si128(sum, product), 1);
}

bool tmpack_crc32_is_available(void) {
  return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
}

#elif defined(__AARCH64EL__)
#include <string.h>

#if defined(__linux__)
#include <sys/auxv.h>

bool tmpack_crc32_is_available(void) {
  const unsigned long crc32_bit = 1 << 7;  // HWCAP_CRC32 of asm/hwcap.h
  return (getauxval(AT_HWCAP) & crc32_bit) != 0;
}
#elif defined(__ARM_FEATURE_CRC32)
bool tmpack_crc32_is_available(void) { return true; }
#else
bool tmpack_crc32_is_available(void) { return false; }
#endif

__attribute__((target("crc"))) uint32_t tmpack_crc32(uint32_t state, const void *bytes, size_t count) {
  uint64_t word;
  for (size_t i = 0; i < count; i += sizeof word) {
    memcpy(&word, (const uint8_t *)bytes + i, sizeof word);
    state = __builtin_arm_crc32d(state, word);
  }
  return state;
}

#else
bool tmpack_crc32_is_available(void) { return false; }
uint32_t tmpack_crc32(uint32_t state, const void *bytes, size_t count) {
  (void)bytes, (void)count;
  return state;
}
#endif
