#include <string.h>

#include "CLanes.h"

#define KEYS 2048
// A counting sort's cursor is read and written for each lane, and lanes that follow each other mostly have the same key.
// Two parts of the block with cursors of their own keep the processor from waiting for itself. A key's two stand
// together: multiples of 4 KiB apart they would look like one to the processor.
#define PARTS 2

#define LANE uint8_t
#define SIGNED_LANE int8_t
#include "difference_template.h"
#define LANE uint16_t
#define SIGNED_LANE int16_t
#include "difference_template.h"
#define LANE uint32_t
#define SIGNED_LANE int32_t
#include "difference_template.h"
#define LANE uint64_t
#define SIGNED_LANE int64_t
#include "difference_template.h"

// Whether lanes have signs is a constant in each loop.
#define DISPATCH_SIGNED(kernel, first, key, ...) \
  if (is_signed) kernel(first, reference, count, true, key, __VA_ARGS__); \
  else kernel(first, reference, count, false, key, __VA_ARGS__); \
  return;
#define DISPATCH(kernel, ...) \
  switch (width) { \
    case 1: DISPATCH_SIGNED(kernel##_uint8_t, __VA_ARGS__) \
    case 2: DISPATCH_SIGNED(kernel##_uint16_t, __VA_ARGS__) \
    case 4: DISPATCH_SIGNED(kernel##_uint32_t, __VA_ARGS__) \
    default: DISPATCH_SIGNED(kernel##_uint64_t, __VA_ARGS__) \
  }

void tmpack_encode_difference(
    const void *lanes, const void *reference, size_t count, size_t width, bool is_signed, tmpack_sort_key key,
    void *difference, uint32_t *ends) {
  DISPATCH(encode_difference, lanes, key, difference, ends)
}

static inline __attribute__((always_inline)) void decode_any(
    const void *difference, const void *reference, size_t count, size_t width, bool is_signed,
    tmpack_sort_key key, void *lanes) {
  DISPATCH(decode_difference, difference, key, lanes)
}

#if defined(__x86_64__)
// Shifts by a variable are one instruction here.
static __attribute__((target("avx2,bmi,bmi2"))) void decode_avx2(
    const void *difference, const void *reference, size_t count, size_t width, bool is_signed,
    tmpack_sort_key key, void *lanes) {
  decode_any(difference, reference, count, width, is_signed, key, lanes);
}
#endif

void tmpack_decode_difference(
    const void *difference, const void *reference, size_t count, size_t width, bool is_signed,
    tmpack_sort_key key, void *lanes) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2")) {
    decode_avx2(difference, reference, count, width, is_signed, key, lanes);
    return;
  }
#endif
  decode_any(difference, reference, count, width, is_signed, key, lanes);
}
