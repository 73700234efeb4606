#include <string.h>

#include "CKernels.h"

#if defined(__x86_64__)
#define HAS_X86_VARIANTS 1
#define AVX2 __attribute__((target("avx2,fma"), min_vector_width(256)))
#define AVX512 __attribute__((target("avx512f,avx2,fma"), min_vector_width(512)))
#endif

// Columns of a tile, in the order of `tmpack_isa`.
static const size_t tile_columns[] = {8, 16, 64};
static const size_t tile_lanes[] = {4, 8, 16};

// `m`, a comparison's mask, chooses between two vectors of bits.
#define SELECT(T, m, a, b) (((T(bits))(m) & (a)) | (~(T(bits))(m) & (b)))
#define ALL(T, x) ((T(bits)){} + (x))

// The conversions of TensorKit's FloatConversion, two vectors at a time.

#define WORDS(T, place) (*(T(words) *)(place))
#define LOAD_WORDS(T, place) ((T(bits))*(const T(words) *)(place))
#define IS_NAN(T, x) ((T(bits))((x) != (x)))

#define CHECKED_F32(T, x) SELECT(T, IS_NAN(T, x), ALL(T, 0x7FC00000u), (T(bits))(x))
#define LOAD_F32(T, place, a, b) \
  ((a) = (T(vector))LOAD_WORDS(T, place), (b) = (T(vector))LOAD_WORDS(T, (place) + LANES))
#define STORE_F32(T, place, a, b) \
  (WORDS(T, place) = (T(words))CHECKED_F32(T, a), WORDS(T, (place) + LANES) = (T(words))CHECKED_F32(T, b))

// In the upper half.
#define ROUNDED_BF16(T, x) \
  SELECT(T, IS_NAN(T, x), ALL(T, 0x7FC00000u), (T(bits))(x) + 0x7FFFu + (((T(bits))(x) >> 16) & 1u))
#define LOAD_BF16(T, place, a, b) \
  ((a) = (T(vector))(LOAD_WORDS(T, place) << 16), (b) = (T(vector))(LOAD_WORDS(T, place) & 0xFFFF0000u))
#define STORE_BF16(T, place, a, b) \
  (WORDS(T, place) = (T(words))((ROUNDED_BF16(T, a) >> 16) | (ROUNDED_BF16(T, b) & 0xFFFF0000u)))

// Times 2^112, a shifted half has the right exponent, a subnormal one too; infinities and NaN get theirs.
#define WIDENED_F16(T, x) \
  (T(vector))( \
      ((T(bits))((T(vector))(((x) & 0x7FFFu) << 13) * 0x1p112f)) | (((x) & 0x8000u) << 16) | \
      SELECT(T, ((x) & 0x7C00u) == ALL(T, 0x7C00u), ALL(T, 0x7F800000u), ALL(T, 0u)))
// In the lower half; `x` are bits.
#define ROUNDED_F16(T, x) \
  SELECT( \
      T, ((x) & 0x7FFFFFFFu) > ALL(T, 0x7F800000u), ALL(T, 0x7E00u), \
      (((x) >> 16) & 0x8000u) | \
          SELECT( \
              T, ((x) & 0x7FFFFFFFu) >= ALL(T, 0x477FF000u), ALL(T, 0x7C00u), \
              SELECT( \
                  T, ((x) & 0x7FFFFFFFu) < ALL(T, 0x38800000u), \
                  (T(bits))((T(vector))((x) & 0x7FFFFFFFu) + 0.5f) - 0x3F000000u, \
                  ((((x) & 0x7FFFFFFFu) + 0xFFFu + (((x) >> 13) & 1u)) - 0x38000000u) >> 13)))
#define LOAD_F16(T, place, a, b) \
  ((a) = WIDENED_F16(T, LOAD_WORDS(T, place) & 0xFFFFu), (b) = WIDENED_F16(T, LOAD_WORDS(T, place) >> 16))
#define STORE_F16(T, place, a, b) \
  (WORDS(T, place) = (T(words))(ROUNDED_F16(T, (T(bits))(a)) | ROUNDED_F16(T, (T(bits))(b)) << 16))

#define TARGET
#define LANES 4
#define VECTORS 2
#define TILE_ROWS 6
#define ELEMENT uint32_t
#define LOAD LOAD_F32
#define STORE STORE_F32
#define NAME(x) x##_f32_portable
#include "mix_template.h"

#define TARGET
#define LANES 4
#define VECTORS 2
#define TILE_ROWS 6
#define ELEMENT uint16_t
#define LOAD LOAD_BF16
#define STORE STORE_BF16
#define NAME(x) x##_bf16_portable
#include "mix_template.h"

#define TARGET
#define LANES 4
#define VECTORS 2
#define TILE_ROWS 6
#define ELEMENT uint16_t
#define LOAD LOAD_F16
#define STORE STORE_F16
#define NAME(x) x##_f16_portable
#include "mix_template.h"

#if HAS_X86_VARIANTS
#define TARGET AVX2
#define LANES 8
#define VECTORS 2
#define TILE_ROWS 6
#define ELEMENT uint32_t
#define LOAD LOAD_F32
#define STORE STORE_F32
#define NAME(x) x##_f32_avx2
#include "mix_template.h"

#define TARGET AVX2
#define LANES 8
#define VECTORS 2
#define TILE_ROWS 6
#define ELEMENT uint16_t
#define LOAD LOAD_BF16
#define STORE STORE_BF16
#define NAME(x) x##_bf16_avx2
#include "mix_template.h"

#define TARGET AVX2
#define LANES 8
#define VECTORS 2
#define TILE_ROWS 6
#define ELEMENT uint16_t
#define LOAD LOAD_F16
#define STORE STORE_F16
#define NAME(x) x##_f16_avx2
#include "mix_template.h"

#define TARGET AVX512
#define LANES 16
#define VECTORS 4
#define TILE_ROWS 6
#define ELEMENT uint32_t
#define LOAD LOAD_F32
#define STORE STORE_F32
#define NAME(x) x##_f32_avx512
#include "mix_template.h"

#define TARGET AVX512
#define LANES 16
#define VECTORS 4
#define TILE_ROWS 6
#define ELEMENT uint16_t
#define LOAD LOAD_BF16
#define STORE STORE_BF16
#define NAME(x) x##_bf16_avx512
#include "mix_template.h"

#define TARGET AVX512
#define LANES 16
#define VECTORS 4
#define TILE_ROWS 6
#define ELEMENT uint16_t
#define LOAD LOAD_F16
#define STORE STORE_F16
#define NAME(x) x##_f16_avx512
#include "mix_template.h"
#endif

size_t tmpack_packed_count(tmpack_isa isa, size_t columns, size_t rank) {
  const size_t tile = tile_columns[isa];
  return (columns + tile - 1) / tile * tile * rank;
}

// Of every two vectors the even columns, then the odd ones.
static void pack_pairs(const float *row, size_t lanes, size_t tile, float *packed) {
  for (size_t pair = 0; pair < tile; pair += 2 * lanes) {
    for (size_t i = 0; i < lanes; i++) {
      packed[pair + i] = row[pair + 2 * i];
      packed[pair + lanes + i] = row[pair + 2 * i + 1];
    }
  }
}

void tmpack_pack_right(
    tmpack_isa isa, tmpack_mix_type type, const float *right, size_t columns, size_t rank, float *packed) {
  const size_t tile = tile_columns[isa];
  for (size_t j = 0; j < columns; j += tile) {
    const size_t width = columns - j < tile ? columns - j : tile;
    for (size_t k = 0; k < rank; k++) {
      float row[64] = {0};
      memcpy(row, right + k * columns + j, width * sizeof(float));
      if (type == TMPACK_MIX_F32) memcpy(packed, row, tile * sizeof(float));
      else pack_pairs(row, tile_lanes[isa], tile, packed);
      packed += tile;
    }
  }
}

#if HAS_X86_VARIANTS
#define DISPATCH(type, element) \
  switch (isa) { \
    case TMPACK_ISA_AVX512: mix_##type##_avx512(shared, out, first, rows, columns, products, count); return; \
    case TMPACK_ISA_AVX2: mix_##type##_avx2(shared, out, first, rows, columns, products, count); return; \
    default: mix_##type##_portable(shared, out, first, rows, columns, products, count); return; \
  }
#else
#define DISPATCH(type, element) \
  (void)isa; \
  mix_##type##_portable(shared, out, first, rows, columns, products, count)
#endif

void tmpack_mix(
    tmpack_isa isa, tmpack_mix_type type, const void *shared, void *out, size_t first, size_t rows, size_t columns,
    const tmpack_mix_product *products, size_t count) {
  switch (type) {
    case TMPACK_MIX_F32: DISPATCH(f32, uint32_t); return;
    case TMPACK_MIX_BF16: DISPATCH(bf16, uint16_t); return;
    case TMPACK_MIX_F16: DISPATCH(f16, uint16_t); return;
  }
}
