// Tensors of mixes, for one element type and one instruction set. Included once for each pair, with these defined:
//
//   ELEMENT            how the tensor is stored: uint16_t for halves, uint32_t for binary32
//   LOAD(T, p, a, b)   2 * LANES elements from `p` on, as two vectors of binary32 (bits)
//   STORE(T, p, a, b)  the same vectors, rounded, to `p`
//   LANES, VECTORS, TILE_ROWS, TARGET, NAME(x)   as in accumulate_template.h
//
// Of halves the first vector has the elements of even columns, the second those of odd ones: they share a word, and need not be
// moved to other lanes. `packed` has its columns in the same order.
//
// A tile goes from memory to registers, through all components, and back: once.

#define TILE_COLUMNS (LANES * VECTORS)
// Rows that a tile's columns of `packed` are used for while they are in the cache: the more of them there are to read,
// the more rows; but few rows of a panel stay near each other in memory.
#define PANEL_ROWS (TILE_ROWS * (rank > 96 ? 16 : 4))

typedef float NAME(vector) __attribute__((vector_size(LANES * 4), aligned(4)));
typedef uint32_t NAME(bits) __attribute__((vector_size(LANES * 4), aligned(4)));
typedef uint32_t NAME(words) __attribute__((vector_size(LANES * 4), aligned(sizeof(ELEMENT)), may_alias));

TARGET static inline void NAME(tile)(
    const ELEMENT *shared, ELEMENT *out, size_t stride, const float *left, const float *packed, size_t rank) {
  NAME(vector) sum[TILE_ROWS][VECTORS];
#pragma clang loop unroll(full)
  for (size_t i = 0; i < TILE_ROWS; i++)
#pragma clang loop unroll(full)
    for (size_t v = 0; v < VECTORS; v += 2) {
      const ELEMENT *place = shared + i * stride + v * LANES;
      LOAD(NAME, place, sum[i][v], sum[i][v + 1]);
      // The next tile of these rows comes when the panel's other rows are through.
      __builtin_prefetch(place + TILE_COLUMNS);
      if (sizeof(ELEMENT) == 4) __builtin_prefetch(place + TILE_COLUMNS + LANES);
    }
  for (size_t k = 0; k < rank; k++) {
#pragma clang loop unroll(full)
    for (size_t i = 0; i < TILE_ROWS; i++) {
      // Less nothing: a broadcast that keeps the sign of a zero, and costs no addition.
      const NAME(vector) a = left[i * rank + k] - (NAME(vector)){};
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
    for (size_t v = 0; v < VECTORS; v += 2) STORE(NAME, out + i * stride + v * LANES, sum[i][v], sum[i][v + 1]);
}

// A tile that the matrix fills only partly: worked on in a copy, whose other elements are thrown away.
TARGET static void NAME(partial_tile)(
    const ELEMENT *shared, ELEMENT *out, size_t stride, size_t rows, size_t columns, const float *left,
    const float *packed, size_t rank) {
  ELEMENT tile[TILE_ROWS * TILE_COLUMNS] = {0};
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < columns; j++) tile[i * TILE_COLUMNS + j] = shared[i * stride + j];
  // One row at a time: there may be no more rows of coefficients to read.
  for (size_t i = 0; i < rows; i++) {
    for (size_t v = 0; v < VECTORS; v += 2) {
      ELEMENT *place = tile + i * TILE_COLUMNS + v * LANES;
      NAME(vector) first, second;
      LOAD(NAME, place, first, second);
      for (size_t k = 0; k < rank; k++) {
        // Less nothing: a broadcast that keeps the sign of a zero, and costs no addition.
        const NAME(vector) a = left[i * rank + k] - (NAME(vector)){};
        const float *right = packed + k * TILE_COLUMNS + v * LANES;
        first = __builtin_elementwise_fma(a, *(const NAME(vector) *)right, first);
        second = __builtin_elementwise_fma(a, *(const NAME(vector) *)(right + LANES), second);
      }
      STORE(NAME, place, first, second);
    }
  }
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < columns; j++) out[i * stride + j] = tile[i * TILE_COLUMNS + j];
}

TARGET static void NAME(mix)(
    const ELEMENT *shared, ELEMENT *out, size_t rows, size_t columns, const float *left, const float *packed,
    size_t rank) {
  for (size_t panel = 0; panel < rows; panel += PANEL_ROWS) {
    const size_t end = rows - panel < PANEL_ROWS ? rows : panel + PANEL_ROWS;
    for (size_t j = 0; j < columns; j += TILE_COLUMNS) {
      const size_t span = columns - j < TILE_COLUMNS ? columns - j : TILE_COLUMNS;
      for (size_t i = panel; i < end; i += TILE_ROWS) {
        const size_t height = end - i < TILE_ROWS ? end - i : TILE_ROWS;
        const size_t corner = i * columns + j;
        if (height == TILE_ROWS && span == TILE_COLUMNS)
          NAME(tile)(shared + corner, out + corner, columns, left + i * rank, packed + j * rank, rank);
        else
          NAME(partial_tile)
        (shared + corner, out + corner, columns, height, span, left + i * rank, packed + j * rank, rank);
      }
    }
  }
}

#undef TILE_COLUMNS
#undef PANEL_ROWS
#undef ELEMENT
#undef LOAD
#undef STORE
#undef LANES
#undef VECTORS
#undef TILE_ROWS
#undef TARGET
#undef NAME
