#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "CChecksums.h"
#include "CElements.h"
#include "CInstructionSets.h"
#include "CLanes.h"

// Kernels that add decoded factors to an accumulator.
//
// Every element's sum is defined to the bit: fused multiply-adds in one fixed order, each rounded once to the
// accumulator's type. All instruction sets give identical bits, so a reconstruction can be verified by its hash.
// Each kernel takes the instruction set to use, which must be one that the CPU has.

/// acc[i][j] = fma(left[i][k], right[k][j], acc[i][j]) for k = 0, 1, …, rank - 1 in this order.
///
/// acc: rows x columns; left: rows x rank, with weight and scale already multiplied in; right: rank x columns.
/// All row-major and not overlapping. Holds 128 KiB of stack.
void tmpack_accumulate_low_rank_f32(
    tmpack_isa isa, float *acc, size_t rows, size_t columns, const float *left, const float *right, size_t rank);

/// The same in binary64; `left` and `right` are converted exactly.
void tmpack_accumulate_low_rank_f64(
    tmpack_isa isa, double *acc, size_t rows, size_t columns, const float *left, const float *right, size_t rank);

/// acc[i] = fma(gain, values[i], acc[i]) for every i < count.
void tmpack_accumulate_dense_f32(tmpack_isa isa, float *acc, const float *values, size_t count, float gain);
void tmpack_accumulate_dense_f64(tmpack_isa isa, double *acc, const float *values, size_t count, float gain);

/// acc[positions[i]] = fma(gain, values[i], acc[positions[i]]) for every i < count.
void tmpack_accumulate_sparse_f32(
    tmpack_isa isa, float *acc, const size_t *positions, const float *values, size_t count, float gain);
void tmpack_accumulate_sparse_f64(
    tmpack_isa isa, double *acc, const size_t *positions, const float *values, size_t count, float gain);

// MARK: Mixes

/// How the tensor of a mix is stored, before and after.
typedef enum tmpack_mix_type { TMPACK_MIX_F32 = 0, TMPACK_MIX_BF16 = 1, TMPACK_MIX_F16 = 2 } tmpack_mix_type;

/// The floats of `packed` for `tmpack_mix`.
size_t tmpack_packed_count(tmpack_isa isa, size_t columns, size_t rank);

/// Copies `right`, rank x columns and row-major, in the order in which `tmpack_mix` on `isa` reads it for tensors of that type.
void tmpack_pack_right(
    tmpack_isa isa, tmpack_mix_type type, const float *right, size_t columns, size_t rank, float *packed);

/// Rows that are best given to `tmpack_mix` together, or a multiple of so many.
#define TMPACK_MIX_PANEL_ROWS 96

/// One matrix of low rank: `left`, rows x rank, with weight and scale already multiplied in, and the other side as
/// `tmpack_pack_right` makes it.
typedef struct tmpack_mix_product {
  const float *left;
  const float *packed;
  size_t rank;
} tmpack_mix_product;

/// What `tmpack_accumulate_low_rank_f32` makes of the shared tensor's elements, widened, one product after the other, then
/// rounded to nearest even; a NaN becomes the one of TMP-7-13. The same bits, in one pass over memory.
///
/// shared, out: rows x columns, row-major, aligned for their elements; they may be the same. The products' left sides are read
/// from row `first` on.
void tmpack_mix(
    tmpack_isa isa, tmpack_mix_type type, const void *shared, void *out, size_t first, size_t rows, size_t columns,
    const tmpack_mix_product *products, size_t count);

/// Names of the vector extensions that the CPU and the operating system support, separated by spaces.
const char *tmpack_cpu_features(void);
