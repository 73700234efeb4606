#include "CKernels.h"

#if defined(__x86_64__)
#define HAS_X86_VARIANTS 1
#endif

// The compiler's own target: 16-byte vectors, which SSE2 and NEON have.
#define SCALAR float
#define LANES 4
#define VECTORS 2
#define TILE_ROWS 6
#define TARGET
#define NAME(x) x##_f32_portable
#include "accumulate_template.h"

#define SCALAR double
#define LANES 2
#define VECTORS 2
#define TILE_ROWS 6
#define TARGET
#define NAME(x) x##_f64_portable
#include "accumulate_template.h"

#if HAS_X86_VARIANTS
#define AVX2 __attribute__((target("avx2,fma"), min_vector_width(256)))
#define AVX512 __attribute__((target("avx512f,avx2,fma"), min_vector_width(512)))

#define SCALAR float
#define LANES 8
#define VECTORS 2
#define TILE_ROWS 6
#define TARGET AVX2
#define NAME(x) x##_f32_avx2
#include "accumulate_template.h"

#define SCALAR double
#define LANES 4
#define VECTORS 2
#define TILE_ROWS 6
#define TARGET AVX2
#define NAME(x) x##_f64_avx2
#include "accumulate_template.h"

#define SCALAR float
#define LANES 16
#define VECTORS 4
#define TILE_ROWS 6
#define TARGET AVX512
#define NAME(x) x##_f32_avx512
#include "accumulate_template.h"

#define SCALAR double
#define LANES 8
#define VECTORS 4
#define TILE_ROWS 6
#define TARGET AVX512
#define NAME(x) x##_f64_avx512
#include "accumulate_template.h"
#endif

#if HAS_X86_VARIANTS
#define DISPATCH(kernel, ...) \
  switch (isa) { \
    case TMPACK_ISA_AVX512: kernel##_avx512(__VA_ARGS__); return; \
    case TMPACK_ISA_AVX2: kernel##_avx2(__VA_ARGS__); return; \
    default: kernel##_portable(__VA_ARGS__); return; \
  }
#else
#define DISPATCH(kernel, ...) \
  (void)isa; \
  kernel##_portable(__VA_ARGS__)
#endif

void tmpack_accumulate_low_rank_f32(
    tmpack_isa isa, float *acc, size_t rows, size_t columns, const float *left, const float *right, size_t rank) {
  DISPATCH(accumulate_low_rank_f32, acc, rows, columns, left, right, rank);
}

void tmpack_accumulate_low_rank_f64(
    tmpack_isa isa, double *acc, size_t rows, size_t columns, const float *left, const float *right, size_t rank) {
  DISPATCH(accumulate_low_rank_f64, acc, rows, columns, left, right, rank);
}

void tmpack_accumulate_dense_f32(tmpack_isa isa, float *acc, const float *values, size_t count, float gain) {
  DISPATCH(accumulate_dense_f32, acc, values, count, gain);
}

void tmpack_accumulate_dense_f64(tmpack_isa isa, double *acc, const float *values, size_t count, float gain) {
  DISPATCH(accumulate_dense_f64, acc, values, count, gain);
}

void tmpack_accumulate_sparse_f32(
    tmpack_isa isa, float *acc, const size_t *positions, const float *values, size_t count, float gain) {
  DISPATCH(accumulate_sparse_f32, acc, positions, values, count, gain);
}

void tmpack_accumulate_sparse_f64(
    tmpack_isa isa, double *acc, const size_t *positions, const float *values, size_t count, float gain) {
  DISPATCH(accumulate_sparse_f64, acc, positions, values, count, gain);
}
