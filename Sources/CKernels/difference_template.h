// Sorted differences of one lane type. Included once for each, with LANE and SIGNED_LANE defined, and KEYS and PARTS.

#define PASTE_(a, b) a##_##b
#define PASTE(a, b) PASTE_(a, b)
#define NAME(x) PASTE(x, LANE)
#define TOP ((LANE)((LANE)1 << (8 * sizeof(LANE) - 1)))

static inline LANE NAME(load)(const uint8_t *lanes, size_t i) {
  LANE lane;
  memcpy(&lane, lanes + i * sizeof(LANE), sizeof(LANE));
  return lane;
}

static inline void NAME(store)(uint8_t *lanes, size_t i, LANE lane) { memcpy(lanes + i * sizeof(LANE), &lane, sizeof(LANE)); }

// All ones for a lane whose top bit is set, otherwise zero.
static inline LANE NAME(sign_mask)(LANE lane) { return (LANE)((SIGNED_LANE)lane >> (8 * sizeof(LANE) - 1)); }

// k of TMP-6-14, and its inverse. Signs are random: these must not become branches.
static inline LANE NAME(ordered)(LANE lane, bool is_signed) {
  return is_signed ? lane ^ (TOP | NAME(sign_mask)(lane)) : lane;
}

static inline LANE NAME(unordered)(LANE lane, bool is_signed) {
  return is_signed ? lane ^ (TOP | (LANE)((lane >> (8 * sizeof(LANE) - 1)) - 1)) : lane;
}

static inline LANE NAME(difference)(LANE lane, LANE reference, bool is_signed) {
  const LANE d = (LANE)(NAME(ordered)(lane, is_signed) - NAME(ordered)(reference, is_signed));
  return (LANE)(d << 1) ^ NAME(sign_mask)(d);
}

static inline LANE NAME(sum)(LANE difference, LANE reference, bool is_signed) {
  const LANE d = (LANE)(difference >> 1) ^ (LANE)(0 - (difference & 1));
  return NAME(unordered)((LANE)(NAME(ordered)(reference, is_signed) + d), is_signed);
}

// Where the lanes of each key go, part by part: the parts of one key follow each other.
static inline __attribute__((always_inline)) void NAME(cursors)(
    const uint8_t *reference, size_t count, tmpack_sort_key key, uint32_t (*restrict cursors)[PARTS], uint32_t *ends) {
  const size_t part = count / PARTS;
  // Of a part's even lanes and of its odd ones, for the same reason as there are parts.
  uint32_t counts[2][KEYS][PARTS];
  for (size_t w = 0; w < 2; w++) memset(counts[w], 0, (key.mask + 1) * sizeof(counts[w][0]));
#define COUNT(w, p, i) counts[w][NAME(load)(reference, i) >> key.shift & key.mask][p]++
  for (size_t i = 0; i + 1 < part; i += 2)
#pragma clang loop unroll(full)
    for (size_t p = 0; p < PARTS; p++) {
      COUNT(0, p, p * part + i);
      COUNT(1, p, p * part + i + 1);
    }
  if (part % 2 == 1)
    for (size_t p = 0; p < PARTS; p++) COUNT(0, p, p * part + part - 1);
  for (size_t i = PARTS * part; i < count; i++) COUNT(0, PARTS - 1, i);
#undef COUNT
  uint32_t end = 0;
  for (size_t k = 0; k <= key.mask; k++) {
    for (size_t p = 0; p < PARTS; p++) {
      const uint32_t lanes = counts[0][k][p] + counts[1][k][p];
      cursors[k][p] = end;
      end += lanes;
    }
    if (ends) ends[k] = end;
  }
}

static inline __attribute__((always_inline)) void NAME(encode_difference)(
    const uint8_t *restrict lanes, const uint8_t *restrict reference, size_t count, bool is_signed, tmpack_sort_key key,
    uint8_t *restrict difference, uint32_t *restrict ends) {
  if (key.mask == 0) {
    for (size_t i = 0; i < count; i++)
      NAME(store)(difference, i, NAME(difference)(NAME(load)(lanes, i), NAME(load)(reference, i), is_signed));
    if (ends) ends[0] = (uint32_t)count;
    return;
  }
  uint32_t cursors[KEYS][PARTS];
  NAME(cursors)(reference, count, key, cursors, ends);
  const size_t part = count / PARTS;
#define STEP(p, i) \
  { \
    const LANE r = NAME(load)(reference, i); \
    NAME(store)(difference, cursors[r >> key.shift & key.mask][p]++, \
        NAME(difference)(NAME(load)(lanes, i), r, is_signed)); \
  }
  for (size_t i = 0; i < part; i++)
#pragma clang loop unroll(full)
    for (size_t p = 0; p < PARTS; p++) STEP(p, p * part + i)
  for (size_t i = PARTS * part; i < count; i++) STEP(PARTS - 1, i)
#undef STEP
}

static inline __attribute__((always_inline)) void NAME(decode_difference)(
    const uint8_t *restrict difference, const uint8_t *restrict reference, size_t count, bool is_signed,
    tmpack_sort_key key, uint8_t *restrict lanes) {
  if (key.mask == 0) {
    for (size_t i = 0; i < count; i++)
      NAME(store)(lanes, i, NAME(sum)(NAME(load)(difference, i), NAME(load)(reference, i), is_signed));
    return;
  }
  uint32_t cursors[KEYS][PARTS];
  NAME(cursors)(reference, count, key, cursors, 0);
  const size_t part = count / PARTS;
#define STEP(p, i) \
  { \
    const LANE r = NAME(load)(reference, i); \
    NAME(store)(lanes, i, NAME(sum)(NAME(load)(difference, cursors[r >> key.shift & key.mask][p]++), r, is_signed)); \
  }
  for (size_t i = 0; i < part; i++)
#pragma clang loop unroll(full)
    for (size_t p = 0; p < PARTS; p++) STEP(p, p * part + i)
  for (size_t i = PARTS * part; i < count; i++) STEP(PARTS - 1, i)
#undef STEP
}

#undef PASTE_
#undef PASTE
#undef NAME
#undef TOP
#undef LANE
#undef SIGNED_LANE
