#include <string.h>

#include "CLanes.h"

// One loop for each width and each rotation: with both constant, the compiler turns it into shuffles.
#define PLANES(LANE, WIDTH) \
  static inline __attribute__((always_inline)) void split_##LANE( \
      const uint8_t *restrict lanes, size_t count, bool rotated, uint8_t *restrict planes) { \
    for (size_t i = 0; i < count; i++) { \
      LANE lane; \
      memcpy(&lane, lanes + i * WIDTH, WIDTH); \
      if (rotated) lane = (LANE)(lane << 1 | lane >> (8 * WIDTH - 1)); \
      for (size_t p = 0; p < WIDTH; p++) planes[p * count + i] = (uint8_t)(lane >> (8 * p)); \
    } \
  } \
  static inline __attribute__((always_inline)) void merge_##LANE( \
      const uint8_t *restrict planes, size_t count, bool rotated, uint8_t *restrict lanes) { \
    for (size_t i = 0; i < count; i++) { \
      LANE lane = 0; \
      for (size_t p = 0; p < WIDTH; p++) lane |= (LANE)((LANE)planes[p * count + i] << (8 * p)); \
      if (rotated) lane = (LANE)(lane >> 1 | lane << (8 * WIDTH - 1)); \
      memcpy(lanes + i * WIDTH, &lane, WIDTH); \
    } \
  }

PLANES(uint16_t, 2)
PLANES(uint32_t, 4)
PLANES(uint64_t, 8)

#define DISPATCH(kernel, from, to) \
  switch (width) { \
    case 2: \
      if (rotated) kernel##_uint16_t(from, count, true, to); \
      else kernel##_uint16_t(from, count, false, to); \
      return; \
    case 4: \
      if (rotated) kernel##_uint32_t(from, count, true, to); \
      else kernel##_uint32_t(from, count, false, to); \
      return; \
    default: \
      if (rotated) kernel##_uint64_t(from, count, true, to); \
      else kernel##_uint64_t(from, count, false, to); \
  }

void tmpack_split_planes(const void *lanes, size_t count, size_t width, bool rotated, void *planes) {
  DISPATCH(split, lanes, planes)
}

static inline __attribute__((always_inline)) void merge_any(
    const void *planes, size_t count, size_t width, bool rotated, void *lanes) {
  DISPATCH(merge, planes, lanes)
}

#if defined(__x86_64__)
// Wider shuffles, which make it nearly twice as fast.
static __attribute__((target("avx2"))) void merge_avx2(
    const void *planes, size_t count, size_t width, bool rotated, void *lanes) {
  merge_any(planes, count, width, rotated, lanes);
}
#endif

void tmpack_merge_planes(const void *planes, size_t count, size_t width, bool rotated, void *lanes) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) {
    merge_avx2(planes, count, width, rotated, lanes);
    return;
  }
#endif
  merge_any(planes, count, width, rotated, lanes);
}
