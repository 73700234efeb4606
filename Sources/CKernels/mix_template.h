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
// Of `packed`, what stays in the second-level cache while all rows use it; but no row is cut so short that the processor
// does not see in time that it is read from end to end.
#define PANEL_BYTES (128 << 10)
#define LEAST_PANEL_COLUMNS 256

typedef float NAME(vector) __attribute__((vector_size(LANES * 4), aligned(4)));
typedef uint32_t NAME(bits) __attribute__((vector_size(LANES * 4), aligned(4)));
typedef uint32_t NAME(words) __attribute__((vector_size(LANES * 4), aligned(sizeof(ELEMENT)), may_alias));

// `row` and `column` are the tile's corner in the matrix.
TARGET static inline void NAME(tile)(
    const ELEMENT *shared, ELEMENT *out, size_t stride, size_t row, size_t column, const tmpack_mix_product *products,
    size_t count) {
  NAME(vector) sum[TILE_ROWS][VECTORS];
#pragma clang loop unroll(full)
  for (size_t i = 0; i < TILE_ROWS; i++)
#pragma clang loop unroll(full)
    for (size_t v = 0; v < VECTORS; v += 2) {
      const ELEMENT *place = shared + i * stride + v * LANES;
      LOAD(NAME, place, sum[i][v], sum[i][v + 1]);
      // The tile below is next but for those of these rows, which the processor sees coming.
      __builtin_prefetch(place + TILE_ROWS * stride);
      if (sizeof(ELEMENT) == 4) __builtin_prefetch(place + TILE_ROWS * stride + LANES);
    }
  for (const tmpack_mix_product *product = products; product < products + count; product++) {
    const size_t rank = product->rank;
    const float *left = product->left + row * rank;
    const float *packed = product->packed + column * rank;
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
  }
#pragma clang loop unroll(full)
  for (size_t i = 0; i < TILE_ROWS; i++)
#pragma clang loop unroll(full)
    for (size_t v = 0; v < VECTORS; v += 2) STORE(NAME, out + i * stride + v * LANES, sum[i][v], sum[i][v + 1]);
}

// A row of a tile.
TARGET static inline void NAME(row)(
    const ELEMENT *shared, ELEMENT *out, size_t row, size_t column, const tmpack_mix_product *products, size_t count) {
  NAME(vector) sum[VECTORS];
#pragma clang loop unroll(full)
  for (size_t v = 0; v < VECTORS; v += 2) LOAD(NAME, shared + v * LANES, sum[v], sum[v + 1]);
  for (const tmpack_mix_product *product = products; product < products + count; product++) {
    const float *left = product->left + row * product->rank;
    const float *packed = product->packed + column * product->rank;
    for (size_t k = 0; k < product->rank; k++) {
      const NAME(vector) a = left[k] - (NAME(vector)){};
#pragma clang loop unroll(full)
      for (size_t v = 0; v < VECTORS; v++)
        sum[v] = __builtin_elementwise_fma(a, *(const NAME(vector) *)(packed + k * TILE_COLUMNS + v * LANES), sum[v]);
    }
  }
#pragma clang loop unroll(full)
  for (size_t v = 0; v < VECTORS; v += 2) STORE(NAME, out + v * LANES, sum[v], sum[v + 1]);
}

// A tile that the matrix fills only partly, one row at a time: there may be no more rows of coefficients to read. One that is too
// narrow is worked on in a copy, whose other elements are thrown away.
TARGET static void NAME(partial_tile)(
    const ELEMENT *shared, ELEMENT *out, size_t stride, size_t height, size_t width, size_t row, size_t column,
    const tmpack_mix_product *products, size_t count) {
  for (size_t i = 0; i < height; i++) {
    if (width == TILE_COLUMNS) {
      NAME(row)(shared + i * stride, out + i * stride, row + i, column, products, count);
    } else {
      ELEMENT copy[TILE_COLUMNS] = {0};
      for (size_t j = 0; j < width; j++) copy[j] = shared[i * stride + j];
      NAME(row)(copy, copy, row + i, column, products, count);
      for (size_t j = 0; j < width; j++) out[i * stride + j] = copy[j];
    }
  }
}

// A few rows at a time, from end to end: more of them than these, a power of two apart, would push each other out of the
// first-level cache.
TARGET static void NAME(mix)(
    const ELEMENT *shared, ELEMENT *out, size_t first, size_t rows, size_t columns, const tmpack_mix_product *products,
    size_t count) {
  size_t rank = 0;
  for (size_t i = 0; i < count; i++) rank += products[i].rank;
  const size_t fitting = PANEL_BYTES / (rank * TILE_COLUMNS * sizeof(float)) * TILE_COLUMNS;
  const size_t panel = fitting < LEAST_PANEL_COLUMNS ? LEAST_PANEL_COLUMNS : fitting;
  for (size_t start = 0; start < columns; start += panel) {
    const size_t end = columns - start < panel ? columns : start + panel;
    for (size_t i = 0; i < rows; i += TILE_ROWS) {
      const size_t height = rows - i < TILE_ROWS ? rows - i : TILE_ROWS;
      for (size_t j = start; j < end; j += TILE_COLUMNS) {
        const size_t width = end - j < TILE_COLUMNS ? end - j : TILE_COLUMNS;
        const size_t corner = i * columns + j;
        if (height == TILE_ROWS && width == TILE_COLUMNS)
          NAME(tile)(shared + corner, out + corner, columns, first + i, j, products, count);
        else
          NAME(partial_tile)
        (shared + corner, out + corner, columns, height, width, first + i, j, products, count);
      }
    }
  }
}

#undef TILE_COLUMNS
#undef PANEL_BYTES
#undef LEAST_PANEL_COLUMNS
#undef ELEMENT
#undef LOAD
#undef STORE
#undef LANES
#undef VECTORS
#undef TILE_ROWS
#undef TARGET
#undef NAME
