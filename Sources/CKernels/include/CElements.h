#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "CInstructionSets.h"

// Kernels on elements of tensors, one after another: conversions, and the steps of merging.
//
// Each result is defined to the bit by the formula of its element, with every operation rounded once; all instruction sets
// give identical bits. Nothing may overlap unless it is the same; packed elements may be unaligned.

/// How elements are stored: little-endian.
typedef enum tmpack_element { TMPACK_F64 = 0, TMPACK_F32 = 1, TMPACK_F16 = 2, TMPACK_BF16 = 3 } tmpack_element;

// MARK: Conversions

/// values[i] = bytes[i], exactly.
void tmpack_widen_f64(tmpack_isa isa, tmpack_element type, const void *bytes, double *values, size_t count);

/// The same in binary32; binary64 is rounded to nearest even.
void tmpack_widen_f32(tmpack_isa isa, tmpack_element type, const void *bytes, float *values, size_t count);

/// bytes[i] = values[i], rounded once to nearest even; too large becomes infinity, and NaN the one of TMP-7-13.
void tmpack_round_f64(tmpack_isa isa, tmpack_element type, const double *values, void *bytes, size_t count);
void tmpack_round_f32(tmpack_isa isa, tmpack_element type, const float *values, void *bytes, size_t count);

/// values[i] = own[i] - reference[i] in binary32, or in binary64 and then rounded where elements are binary64; 0 where they are
/// equal, infinities too.
void tmpack_difference_f32(
    tmpack_isa isa, tmpack_element type, const void *own, const void *reference, float *values, size_t count);

/// Whether no element is NaN or infinite.
bool tmpack_is_finite(tmpack_isa isa, tmpack_element type, const void *bytes, size_t count);

// MARK: Sizes

/// The bits of the largest of the magnitudes, as they compare as integers: above infinity's where an element is NaN.
uint32_t tmpack_largest_magnitude_f32(tmpack_isa isa, const float *values, size_t count);

/// The sum of the squares in eight running sums: lanes[j] = sum of values[i]^2 for i = j mod 8, in binary64. `count` is a
/// multiple of 8.
void tmpack_sum_squares_f32(tmpack_isa isa, const float *values, size_t count, double *lanes);

// MARK: Steps of merging

/// own[i] = own[i] - base[i]; 0 where they are equal, infinities and NaN too.
void tmpack_subtract_base(tmpack_isa isa, double *own, const double *base, size_t count);

/// result[i] = 0 + weights[0] * members[0][i] + weights[1] * members[1][i] + …, from the left.
void tmpack_weighted_sum(
    tmpack_isa isa, double *result, const double *const *members, const double *weights, size_t member_count,
    size_t count);

/// sum[i] = sum[i] + weight * part[i], the product rounded before it is added.
void tmpack_add_scaled(tmpack_isa isa, double *sum, double weight, const double *part, size_t count);

/// sum[i] = base[i] + weight * sum[i].
void tmpack_scale_and_add(tmpack_isa isa, double *sum, double weight, const double *base, size_t count);

/// values[i] = values[i] / divisor.
void tmpack_divide(tmpack_isa isa, double *values, double divisor, size_t count);

/// values[i] = abs(values[i]) < threshold ? 0 : values[i].
void tmpack_trim(tmpack_isa isa, double *values, double threshold, size_t count);

/// values[i] = values[i] / divisor where the random number of element i is below `density`, in 0...1; 0 elsewhere.
///
/// The numbers are SplitMix64's, of which `state` is the state before element 0's: its upper 53 bits, times 2^-53.
void tmpack_drop_at_random(
    tmpack_isa isa, double *values, size_t count, uint64_t state, double density, double divisor);

/// The inner product of a and b in sixteen running sums: lanes[j] = sum of a[i] * b[i] for i = j mod 16, plus that for
/// i = j + 8 mod 16, for j < 8. `count` is a multiple of 16.
void tmpack_inner_product(tmpack_isa isa, const double *a, const double *b, size_t count, double *lanes);

/// The disjoint merge of TIES: of the `members` vectors, each times its weight, the sum of the elements that have the elected
/// sign; if `is_normalized`, divided by the sum of their weights where that is not 0.
///
/// The sign is that of the sum of all, in order (0: nothing is elected, but plus if `ties_are_positive`), or, with
/// `by_count`, the sign that more members have (as many: plus).
void tmpack_disjoint_merge(
    tmpack_isa isa, double *result, const double *const *members, const double *weights, size_t member_count,
    size_t count, bool by_count, bool ties_are_positive, bool is_normalized);

// MARK: Order statistics

// Of numbers as their keys: their bits, as unsigned integers that have the numbers' order. None may be NaN.

/// Counts the upper `digit_bits` of each key.
void tmpack_count_digits(const double *values, size_t count, unsigned digit_bits, uint64_t *counts);

/// Writes the keys whose upper `known_bits`, at least 1, are `prefix` to `keys`, which has room for `count`, in their order.
///
/// Returns how many there are.
size_t tmpack_collect_keys(
    const double *values, size_t count, uint64_t prefix, unsigned known_bits, uint64_t *keys);

// MARK: Quantised blocks

/// Encodes `blocks` blocks of ggml's `block_q8_0`: 32 values each to 34 bytes, as `quantize_row_q8_0_ref` does.
///
/// Values are finite. Returns false when a scale is too large for half precision.
bool tmpack_quantize_q8_0(tmpack_isa isa, const float *values, size_t blocks, void *bytes);
