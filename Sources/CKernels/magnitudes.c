#include <string.h>

#include "CLanes.h"

// A lane's symbol is a small floating-point number, with subnormals: q · 2^m + t, where for q = 0 the lane is t, and
// otherwise (2^m + t) · 2^(q − 1) plus a remainder of q − 1 bits. m is 4, 3 or 2, so that a byte holds every symbol.

static inline uint32_t symbol_of(uint64_t lane, uint32_t m, uint32_t *remainder_bits) {
  const uint32_t length = 64 - (uint32_t)__builtin_clzll(lane | 1);
  const uint32_t bits = length > m + 1 ? length - m - 1 : 0;
  *remainder_bits = bits;
  // The leading bit of the fraction adds the one to q where it is set.
  return (bits << m) + (uint32_t)(lane >> bits);
}

static inline uint64_t load(const uint8_t *bytes, size_t count) {
  uint64_t word = 0;
  memcpy(&word, bytes, count);
  return word;
}

static inline __attribute__((always_inline)) size_t remainder_bits(
    const uint8_t *lanes, size_t count, size_t width, uint32_t m) {
  size_t sum = 0;
  for (size_t i = 0; i < count; i++) {
    uint32_t bits;
    symbol_of(load(lanes + i * width, width), m, &bits);
    sum += bits;
  }
  return sum;
}

size_t tmpack_magnitude_remainder_bytes(const void *lanes, size_t count, size_t width) {
  switch (width) {
    case 2: return (remainder_bits(lanes, count, 2, 4) + 7) / 8;
    case 4: return (remainder_bits(lanes, count, 4, 3) + 7) / 8;
    default: return (remainder_bits(lanes, count, 8, 2) + 7) / 8;
  }
}

static inline __attribute__((always_inline)) void encode(
    const uint8_t *restrict lanes, size_t count, size_t width, uint32_t m, uint8_t *restrict symbols,
    uint8_t *restrict remainders, size_t remainder_bytes) {
  const uint8_t *const end = remainders + remainder_bytes;
  unsigned __int128 pending = 0;
  uint32_t held = 0;
  for (size_t i = 0; i < count; i++) {
    const uint64_t lane = load(lanes + i * width, width);
    uint32_t bits;
    symbols[i] = (uint8_t)symbol_of(lane, m, &bits);
    pending |= (unsigned __int128)(lane & ((UINT64_C(1) << bits) - 1)) << held;
    held += bits;
    if (held >= 64) {
      memcpy(remainders, &(uint64_t){(uint64_t)pending}, 8);
      remainders += 8;
      pending >>= 64;
      held -= 64;
    }
  }
  for (; remainders < end; pending >>= 8) *remainders++ = (uint8_t)pending;
}

void tmpack_encode_magnitudes(
    const void *lanes, size_t count, size_t width, void *symbols, void *remainders, size_t remainder_bytes) {
  switch (width) {
    case 2: encode(lanes, count, 2, 4, symbols, remainders, remainder_bytes); return;
    case 4: encode(lanes, count, 4, 3, symbols, remainders, remainder_bytes); return;
    default: encode(lanes, count, 8, 2, symbols, remainders, remainder_bytes);
  }
}

static inline __attribute__((always_inline)) bool decode(
    const uint8_t *restrict symbols, const uint8_t *restrict remainders, size_t remainder_bytes, size_t count,
    size_t width, uint32_t m, uint8_t *restrict lanes) {
  const uint32_t last_symbol = ((uint32_t)(8 * width) - m + 1) << m;
  uint64_t total = 0;
  uint32_t largest = 0;
  for (size_t start = 0; start < count; start += 1 << 16) {
    // 32-bit sums, which vectors have room for.
    const size_t end = count - start < 1 << 16 ? count : start + (1 << 16);
    uint32_t sum = 0;
    for (size_t i = start; i < end; i++) {
      const uint32_t q = symbols[i] >> m;
      sum += q - (q > 0);
      largest = symbols[i] > largest ? symbols[i] : largest;
    }
    total += sum;
  }
  if (largest >= last_symbol || (total + 7) / 8 != remainder_bytes) return false;
  if (total % 8 != 0 && remainders[remainder_bytes - 1] >> total % 8 != 0) return false;

  uint64_t bases[256];
  uint8_t lengths[256];
  for (uint32_t s = 0; s < 256; s++) {
    const uint32_t q = s >> m;
    const uint64_t fraction = s & ((1u << m) - 1);
    lengths[s] = (uint8_t)(q - (q > 0));
    bases[s] = q == 0 ? fraction : ((UINT64_C(1) << m) + fraction) << lengths[s];
  }
  // A remainder of up to 56 bits lies in the eight bytes from the one where it begins; one more may need the ninth.
  const size_t reach = width == 8 ? 16 : 8;
  uint64_t place = 0;
  size_t i = 0;
  for (; i < count && place / 8 + reach <= remainder_bytes; i++) {
    const uint32_t bits = lengths[symbols[i]];
    uint64_t word = load(remainders + place / 8, 8) >> place % 8;
    if (width == 8) word |= (uint64_t)remainders[place / 8 + 8] << 1 << (63 - place % 8);
    const uint64_t lane = bases[symbols[i]] | (word & ((UINT64_C(1) << bits) - 1));
    memcpy(lanes + i * width, &lane, width);
    place += bits;
  }
  for (; i < count; i++) {
    const uint32_t bits = lengths[symbols[i]];
    uint64_t word = 0;
    for (uint32_t b = 0; b < bits; b++, place++)
      word |= (uint64_t)(remainders[place / 8] >> place % 8 & 1) << b;
    const uint64_t lane = bases[symbols[i]] | word;
    memcpy(lanes + i * width, &lane, width);
  }
  return true;
}

static inline __attribute__((always_inline)) bool decode_any(
    const uint8_t *symbols, const uint8_t *remainders, size_t remainder_bytes, size_t count, size_t width,
    uint8_t *lanes) {
  switch (width) {
    case 2: return decode(symbols, remainders, remainder_bytes, count, 2, 4, lanes);
    case 4: return decode(symbols, remainders, remainder_bytes, count, 4, 3, lanes);
    default: return decode(symbols, remainders, remainder_bytes, count, 8, 2, lanes);
  }
}

#if defined(__x86_64__)
// Shifts by a variable are one instruction here, which makes the loop half again as fast.
static __attribute__((target("avx2,bmi,bmi2"))) bool decode_avx2(
    const uint8_t *symbols, const uint8_t *remainders, size_t remainder_bytes, size_t count, size_t width,
    uint8_t *lanes) {
  return decode_any(symbols, remainders, remainder_bytes, count, width, lanes);
}
#endif

bool tmpack_decode_magnitudes(
    const void *symbols, const void *remainders, size_t remainder_bytes, size_t count, size_t width,
    void *lanes) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2"))
    return decode_avx2(symbols, remainders, remainder_bytes, count, width, lanes);
#endif
  return decode_any(symbols, remainders, remainder_bytes, count, width, lanes);
}
