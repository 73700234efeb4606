#include "elements.h"

// What a block of the elements has of every member, and of sums, stays in the first-level cache.
#define BLOCK 256

INLINE void subtract_base_any(double *restrict own, const double *restrict base, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const double a = own[i], b = base[i];
    own[i] = (a == b) | ((a != a) & (b != b)) ? 0 : a - b;
  }
}
VARIANTS(void, subtract_base, (double *own, const double *base, size_t count), own, base, count)

void tmpack_subtract_base(tmpack_isa isa, double *own, const double *base, size_t count) {
  DISPATCH(subtract_base, own, base, count)
}

INLINE void add_scaled_any(double *restrict sum, double weight, const double *restrict part, size_t count) {
  for (size_t i = 0; i < count; i++) sum[i] = sum[i] + weight * part[i];
}
VARIANTS(void, add_scaled, (double *sum, double weight, const double *part, size_t count), sum, weight, part, count)

void tmpack_add_scaled(tmpack_isa isa, double *sum, double weight, const double *part, size_t count) {
  DISPATCH(add_scaled, sum, weight, part, count)
}

INLINE void weighted_sum_any(
    double *restrict result, const double *const *members, const double *weights, size_t member_count, size_t count) {
  for (size_t start = 0; start < count; start += BLOCK) {
    const size_t length = count - start < BLOCK ? count - start : BLOCK;
    memset(result + start, 0, length * sizeof(double));
    for (size_t k = 0; k < member_count; k++) add_scaled_any(result + start, weights[k], members[k] + start, length);
  }
}
VARIANTS(
    void, weighted_sum,
    (double *result, const double *const *members, const double *weights, size_t member_count, size_t count), result,
    members, weights, member_count, count)

void tmpack_weighted_sum(
    tmpack_isa isa, double *result, const double *const *members, const double *weights, size_t member_count,
    size_t count) {
  DISPATCH(weighted_sum, result, members, weights, member_count, count)
}

INLINE void scale_and_add_any(double *restrict sum, double weight, const double *restrict base, size_t count) {
  for (size_t i = 0; i < count; i++) sum[i] = base[i] + weight * sum[i];
}
VARIANTS(void, scale_and_add, (double *sum, double weight, const double *base, size_t count), sum, weight, base, count)

void tmpack_scale_and_add(tmpack_isa isa, double *sum, double weight, const double *base, size_t count) {
  DISPATCH(scale_and_add, sum, weight, base, count)
}

INLINE void divide_any(double *values, double divisor, size_t count) {
  for (size_t i = 0; i < count; i++) values[i] /= divisor;
}
VARIANTS(void, divide, (double *values, double divisor, size_t count), values, divisor, count)

void tmpack_divide(tmpack_isa isa, double *values, double divisor, size_t count) {
  DISPATCH(divide, values, divisor, count)
}

INLINE void trim_any(double *values, double threshold, size_t count) {
  for (size_t i = 0; i < count; i++) values[i] = fabs(values[i]) < threshold ? 0 : values[i];
}
VARIANTS(void, trim, (double *values, double threshold, size_t count), values, threshold, count)

void tmpack_trim(tmpack_isa isa, double *values, double threshold, size_t count) { DISPATCH(trim, values, threshold, count) }

INLINE void drop_at_random_any(double *values, size_t count, uint64_t state, double density, double divisor) {
  // m * 2^-53 < density, for an integer m.
  const uint64_t bound = (uint64_t)ceil(density * 0x1p53);
  for (size_t i = 0; i < count; i++) {
    uint64_t z = state + (uint64_t)0x9E3779B97F4A7C15 * (i + 1);
    z = (z ^ z >> 30) * (uint64_t)0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * (uint64_t)0x94D049BB133111EB;
    z ^= z >> 31;
    const double kept = values[i] / divisor;
    values[i] = z >> 11 < bound ? kept : 0;
  }
}
VARIANTS(
    void, drop_at_random, (double *values, size_t count, uint64_t state, double density, double divisor), values, count,
    state, density, divisor)

void tmpack_drop_at_random(
    tmpack_isa isa, double *values, size_t count, uint64_t state, double density, double divisor) {
  DISPATCH(drop_at_random, values, count, state, density, divisor)
}

typedef double eight __attribute__((vector_size(64), aligned(8)));

INLINE void inner_product_any(const double *a, const double *b, size_t count, double *lanes) {
  eight even = {0}, odd = {0};
  for (size_t i = 0; i < count; i += 16) {
    even += *(const eight *)(a + i) * *(const eight *)(b + i);
    odd += *(const eight *)(a + i + 8) * *(const eight *)(b + i + 8);
  }
  *(eight *)lanes = even + odd;
}
VARIANTS(void, inner_product, (const double *a, const double *b, size_t count, double *lanes), a, b, count, lanes)

void tmpack_inner_product(tmpack_isa isa, const double *a, const double *b, size_t count, double *lanes) {
  DISPATCH(inner_product, a, b, count, lanes)
}

INLINE void merge_block(
    double *restrict result, const double *const *members, const double *weights, size_t member_count, size_t start,
    size_t length, bool by_count, bool ties_are_positive, bool is_normalized) {
  double elected[BLOCK], sum[BLOCK], divisor[BLOCK];
  memset(elected, 0, sizeof elected);
  for (size_t k = 0; k < member_count; k++) {
    const double weight = weights[k], *restrict part = members[k] + start;
    for (size_t i = 0; i < length; i++) {
      const double element = weight * part[i];
      elected[i] += by_count ? (element > 0 ? 1.0 : 0.0) - (element < 0 ? 1.0 : 0.0) : element;
    }
  }
  const bool zero_is_plus = by_count | ties_are_positive;
  for (size_t i = 0; i < length; i++) {
    elected[i] = (zero_is_plus & (elected[i] == 0)) ? 1 : elected[i];
    sum[i] = 0;
    divisor[i] = 0;
  }
  for (size_t k = 0; k < member_count; k++) {
    const double weight = weights[k], *restrict part = members[k] + start;
    for (size_t i = 0; i < length; i++) {
      const double element = weight * part[i];
      const bool agrees = ((elected[i] > 0) & (element > 0)) | ((elected[i] < 0) & (element < 0));
      sum[i] += agrees ? element : 0;
      divisor[i] += agrees ? weight : 0;
    }
  }
  for (size_t i = 0; i < length; i++)
    result[start + i] = (is_normalized & (divisor[i] != 0)) ? sum[i] / divisor[i] : sum[i];
}

INLINE void disjoint_merge_any(
    double *restrict result, const double *const *members, const double *weights, size_t member_count, size_t count,
    bool by_count, bool ties_are_positive, bool is_normalized) {
  for (size_t start = 0; start < count; start += BLOCK) {
    const size_t length = count - start < BLOCK ? count - start : BLOCK;
    // How the sign is elected is a constant in each loop.
    if (by_count) merge_block(result, members, weights, member_count, start, length, true, true, is_normalized);
    else merge_block(result, members, weights, member_count, start, length, false, ties_are_positive, is_normalized);
  }
}
VARIANTS(
    void, disjoint_merge,
    (double *result, const double *const *members, const double *weights, size_t member_count, size_t count,
        bool by_count, bool ties_are_positive, bool is_normalized),
    result, members, weights, member_count, count, by_count, ties_are_positive, is_normalized)

void tmpack_disjoint_merge(
    tmpack_isa isa, double *result, const double *const *members, const double *weights, size_t member_count,
    size_t count, bool by_count, bool ties_are_positive, bool is_normalized) {
  DISPATCH(
      disjoint_merge, result, members, weights, member_count, count, by_count, ties_are_positive, is_normalized)
}

INLINE uint64_t ordered_key(double value) {
  const uint64_t bits = double_bits(value);
  return bits ^ ((uint64_t)((int64_t)bits >> 63) | (uint64_t)1 << 63);
}

void tmpack_count_digits(const double *values, size_t count, unsigned digit_bits, uint64_t *counts) {
  for (size_t i = 0; i < count; i++) counts[ordered_key(values[i]) >> (64 - digit_bits)]++;
}

size_t tmpack_collect_keys(
    const double *values, size_t count, uint64_t prefix, unsigned known_bits, uint64_t *keys) {
  size_t found = 0;
  for (size_t i = 0; i < count; i++) {
    const uint64_t key = ordered_key(values[i]);
    keys[found] = key;
    // Which numbers have the prefix is random: this must not become a branch.
    found += key >> (64 - known_bits) == prefix;
  }
  return found;
}
