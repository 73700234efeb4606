// The kernels for one scalar type and one instruction set. Included once for each pair, with these defined:
//
//   SCALAR    float or double, the accumulator's type
//   LANES     scalars in a vector register
//   VECTORS   registers that hold one row of a tile
//   TILE_ROWS rows of a tile; TILE_ROWS * VECTORS + VECTORS + 1 registers should exist
//   TARGET    the function attributes that allow the instruction set
//   NAME(x)   x with a suffix
//
// Fused multiply-adds are written out (`__builtin_elementwise_fma`), so no -ffp-contract setting changes a result.

#define TILE_COLUMNS (LANES * VECTORS)
// Factor components that one pass over the accumulator adds. A sum that is stored and loaded again is unchanged,
// so splitting the ranks does not show in the bits.
#define DEPTH 128
// Scalars of `right` that are packed at a time: what stays in the second-level cache.
#define PACKED (131072 / sizeof(SCALAR))

typedef SCALAR NAME(vector) __attribute__((vector_size(LANES * sizeof(SCALAR)), aligned(sizeof(SCALAR))));

// Adds `depth` components to one tile, which stays in registers throughout.
TARGET static inline void NAME(tile)(
    SCALAR *acc, size_t stride, const float *left, size_t rank, const SCALAR *packed, size_t depth) {
  NAME(vector) sum[TILE_ROWS][VECTORS];
#pragma clang loop unroll(full)
  for (size_t i = 0; i < TILE_ROWS; i++)
#pragma clang loop unroll(full)
    for (size_t v = 0; v < VECTORS; v++)
      sum[i][v] = *(const NAME(vector) *)(acc + i * stride + v * LANES);
  for (size_t k = 0; k < depth; k++) {
#pragma clang loop unroll(full)
    for (size_t i = 0; i < TILE_ROWS; i++) {
      // Less nothing: a broadcast that keeps the sign of a zero, and costs no addition.
      const NAME(vector) a = (SCALAR)left[i * rank + k] - (NAME(vector)){};
#pragma clang loop unroll(full)
      for (size_t v = 0; v < VECTORS; v++) {
        const NAME(vector) r = *(const NAME(vector) *)(packed + k * TILE_COLUMNS + v * LANES);
        sum[i][v] = __builtin_elementwise_fma(a, r, sum[i][v]);
      }
    }
  }
#pragma clang loop unroll(full)
  for (size_t i = 0; i < TILE_ROWS; i++)
#pragma clang loop unroll(full)
    for (size_t v = 0; v < VECTORS; v++)
      *(NAME(vector) *)(acc + i * stride + v * LANES) = sum[i][v];
}

// A tile that the matrix fills only partly: worked on in a copy, whose other elements are thrown away.
TARGET static void NAME(partial_tile)(
    SCALAR *acc, size_t stride, size_t rows, size_t columns, const float *left, size_t rank, const SCALAR *packed,
    size_t depth) {
  SCALAR tile[TILE_ROWS * TILE_COLUMNS] = {0};
  float coefficients[TILE_ROWS * DEPTH] = {0};
  for (size_t i = 0; i < rows; i++) {
    for (size_t j = 0; j < columns; j++) tile[i * TILE_COLUMNS + j] = acc[i * stride + j];
    for (size_t k = 0; k < depth; k++) coefficients[i * DEPTH + k] = left[i * rank + k];
  }
  NAME(tile)(tile, TILE_COLUMNS, coefficients, DEPTH, packed, depth);
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < columns; j++) acc[i * stride + j] = tile[i * TILE_COLUMNS + j];
}

// Copies columns [first, first + count) of `depth` components, tile by tile, the last tile filled up with zeros.
TARGET static void NAME(pack)(
    SCALAR *packed, const float *right, size_t columns, size_t first, size_t count, size_t depth) {
  for (size_t j = 0; j < count; j += TILE_COLUMNS) {
    const size_t width = count - j < TILE_COLUMNS ? count - j : TILE_COLUMNS;
    for (size_t k = 0; k < depth; k++) {
      const float *source = right + k * columns + first + j;
      for (size_t c = 0; c < width; c++) packed[c] = source[c];
      for (size_t c = width; c < TILE_COLUMNS; c++) packed[c] = 0;
      packed += TILE_COLUMNS;
    }
  }
}

TARGET static void NAME(accumulate_low_rank)(
    SCALAR *acc, size_t rows, size_t columns, const float *left, const float *right, size_t rank) {
  _Alignas(64) SCALAR packed[PACKED];
  for (size_t k = 0; k < rank; k += DEPTH) {
    const size_t depth = rank - k < DEPTH ? rank - k : DEPTH;
    const size_t block = PACKED / depth / TILE_COLUMNS * TILE_COLUMNS;
    for (size_t j = 0; j < columns; j += block) {
      const size_t width = columns - j < block ? columns - j : block;
      NAME(pack)(packed, right + k * columns, columns, j, width, depth);
      for (size_t i = 0; i < rows; i += TILE_ROWS) {
        const size_t height = rows - i < TILE_ROWS ? rows - i : TILE_ROWS;
        for (size_t c = 0; c < width; c += TILE_COLUMNS) {
          const size_t span = width - c < TILE_COLUMNS ? width - c : TILE_COLUMNS;
          SCALAR *corner = acc + i * columns + j + c;
          if (height == TILE_ROWS && span == TILE_COLUMNS)
            NAME(tile)(corner, columns, left + i * rank + k, rank, packed + c * depth, depth);
          else
            NAME(partial_tile)(corner, columns, height, span, left + i * rank + k, rank, packed + c * depth, depth);
        }
      }
    }
  }
}

TARGET static void NAME(accumulate_dense)(
    SCALAR *restrict acc, const float *restrict values, size_t count, float gain) {
  for (size_t i = 0; i < count; i++)
    acc[i] = __builtin_elementwise_fma((SCALAR)gain, (SCALAR)values[i], acc[i]);
}

TARGET static void NAME(accumulate_sparse)(
    SCALAR *restrict acc, const size_t *restrict positions, const float *restrict values, size_t count, float gain) {
  for (size_t i = 0; i < count; i++)
    acc[positions[i]] = __builtin_elementwise_fma((SCALAR)gain, (SCALAR)values[i], acc[positions[i]]);
}

#undef TILE_COLUMNS
#undef DEPTH
#undef PACKED
#undef SCALAR
#undef LANES
#undef VECTORS
#undef TILE_ROWS
#undef TARGET
#undef NAME
