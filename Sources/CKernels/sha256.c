#include "CChecksums.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512bw")))
#define INLINE static inline __attribute__((always_inline))
#define LANES TMPACK_SHA256_LANES

// FIPS 180-4, with one word of each message in each vector.

static const uint32_t constants[64] = {
    0x428A2F98, 0x71374491, 0xB5C0FBCF, 0xE9B5DBA5, 0x3956C25B, 0x59F111F1, 0x923F82A4, 0xAB1C5ED5,
    0xD807AA98, 0x12835B01, 0x243185BE, 0x550C7DC3, 0x72BE5D74, 0x80DEB1FE, 0x9BDC06A7, 0xC19BF174,
    0xE49B69C1, 0xEFBE4786, 0x0FC19DC6, 0x240CA1CC, 0x2DE92C6F, 0x4A7484AA, 0x5CB0A9DC, 0x76F988DA,
    0x983E5152, 0xA831C66D, 0xB00327C8, 0xBF597FC7, 0xC6E00BF3, 0xD5A79147, 0x06CA6351, 0x14292967,
    0x27B70A85, 0x2E1B2138, 0x4D2C6DFC, 0x53380D13, 0x650A7354, 0x766A0ABB, 0x81C2C92E, 0x92722C85,
    0xA2BFE8A1, 0xA81A664B, 0xC24B8B70, 0xC76C51A3, 0xD192E819, 0xD6990624, 0xF40E3585, 0x106AA070,
    0x19A4C116, 0x1E376C08, 0x2748774C, 0x34B0BCB5, 0x391C0CB3, 0x4ED8AA4A, 0x5B9CCA4F, 0x682E6FF3,
    0x748F82EE, 0x78A5636F, 0x84C87814, 0x8CC70208, 0x90BEFFFA, 0xA4506CEB, 0xBEF9A3F7, 0xC67178F2,
};

AVX512 INLINE __m512i sum(__m512i a, __m512i b) { return _mm512_add_epi32(a, b); }
AVX512 INLINE __m512i parity(__m512i a, __m512i b, __m512i c) { return _mm512_ternarylogic_epi32(a, b, c, 0x96); }
AVX512 INLINE __m512i choice(__m512i a, __m512i b, __m512i c) { return _mm512_ternarylogic_epi32(a, b, c, 0xCA); }
AVX512 INLINE __m512i majority(__m512i a, __m512i b, __m512i c) { return _mm512_ternarylogic_epi32(a, b, c, 0xE8); }

#define ROTATIONS(x, i, j, k) \
  parity(_mm512_ror_epi32(x, i), _mm512_ror_epi32(x, j), _mm512_ror_epi32(x, k))
#define ROTATIONS_AND_SHIFT(x, i, j, k) \
  parity(_mm512_ror_epi32(x, i), _mm512_ror_epi32(x, j), _mm512_srli_epi32(x, k))

/// Sixteen rows of sixteen words to their columns.
AVX512 INLINE void transpose(__m512i rows[16]) {
  __m512i pairs[16], quads[16];
  for (int i = 0; i < 16; i += 2) {
    pairs[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    pairs[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    for (int j = 0; j < 2; j++) {
      quads[i + 2 * j] = _mm512_unpacklo_epi64(pairs[i + j], pairs[i + 2 + j]);
      quads[i + 2 * j + 1] = _mm512_unpackhi_epi64(pairs[i + j], pairs[i + 2 + j]);
    }
  }
  // Part p of quads[i + j] has column 4 p + j of rows i to i + 3.
  for (int j = 0; j < 4; j++) {
    __m512i even = _mm512_shuffle_i32x4(quads[j], quads[4 + j], 0x88);
    __m512i odd = _mm512_shuffle_i32x4(quads[j], quads[4 + j], 0xDD);
    __m512i next_even = _mm512_shuffle_i32x4(quads[8 + j], quads[12 + j], 0x88);
    __m512i next_odd = _mm512_shuffle_i32x4(quads[8 + j], quads[12 + j], 0xDD);
    rows[j] = _mm512_shuffle_i32x4(even, next_even, 0x88);
    rows[4 + j] = _mm512_shuffle_i32x4(odd, next_odd, 0x88);
    rows[8 + j] = _mm512_shuffle_i32x4(even, next_even, 0xDD);
    rows[12 + j] = _mm512_shuffle_i32x4(odd, next_odd, 0xDD);
  }
}

AVX512 void tmpack_sha256_lanes(uint32_t *states, const void *const *blocks, size_t count) {
  const __m512i big_endian =
      _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
  __m512i hash[8];
  for (int i = 0; i < 8; i++) hash[i] = _mm512_loadu_si512(states + LANES * i);
  for (size_t block = 0; block < count; block++) {
    __m512i words[16];
    for (int lane = 0; lane < LANES; lane++) {
      const char *bytes = (const char *)blocks[lane] + 64 * block;
      // More streams than the processor foresees by itself.
      _mm_prefetch(bytes + 512, _MM_HINT_T0);
      words[lane] = _mm512_shuffle_epi8(_mm512_loadu_si512(bytes), big_endian);
    }
    transpose(words);
    __m512i a = hash[0], b = hash[1], c = hash[2], d = hash[3];
    __m512i e = hash[4], f = hash[5], g = hash[6], h = hash[7];
#pragma clang loop unroll(full)
    for (int t = 0; t < 64; t++) {
      __m512i word = words[t & 15];
      if (t >= 16) {
        __m512i small = ROTATIONS_AND_SHIFT(words[(t + 1) & 15], 7, 18, 3);
        __m512i large = ROTATIONS_AND_SHIFT(words[(t + 14) & 15], 17, 19, 10);
        word = words[t & 15] = sum(sum(word, words[(t + 9) & 15]), sum(small, large));
      }
      __m512i first = sum(
          sum(h, sum(word, _mm512_set1_epi32((int)constants[t]))), sum(ROTATIONS(e, 6, 11, 25), choice(e, f, g)));
      __m512i second = sum(ROTATIONS(a, 2, 13, 22), majority(a, b, c));
      h = g, g = f, f = e, e = sum(d, first);
      d = c, c = b, b = a, a = sum(first, second);
    }
    const __m512i ended[8] = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; i++) hash[i] = sum(hash[i], ended[i]);
  }
  for (int i = 0; i < 8; i++) _mm512_storeu_si512(states + LANES * i, hash[i]);
}

bool tmpack_sha256_lanes_are_available(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}

#else
bool tmpack_sha256_lanes_are_available(void) { return false; }
void tmpack_sha256_lanes(uint32_t *states, const void *const *blocks, size_t count) {
  (void)states, (void)blocks, (void)count;
}
#endif
