#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Kernels on lanes: little-endian unsigned integers of `width` bytes, 1, 2, 4 or 8, at any alignment. None of them
// allocates. They are plain C, because the compiler vectorises it or nothing can.

// MARK: Byte planes (TMP-5-7, TMP-5-10)

/// Splits `count` lanes of 2, 4 or 8 bytes into planes, each lane first rotated left by one bit if `rotated`.
void tmpack_split_planes(const void *lanes, size_t count, size_t width, bool rotated, void *planes);

/// The inverse of `tmpack_split_planes`.
void tmpack_merge_planes(const void *planes, size_t count, size_t width, bool rotated, void *lanes);

// MARK: Magnitudes (TMP-5-11)

/// The bytes that the remainders of `count` lanes of 2, 4 or 8 bytes take.
size_t tmpack_magnitude_remainder_bytes(const void *lanes, size_t count, size_t width);

/// Writes one symbol a lane, and the remainders: the exact number of bytes, which must be right.
void tmpack_encode_magnitudes(
    const void *lanes, size_t count, size_t width, void *symbols, void *remainders, size_t remainder_bytes);

/// The inverse. False, with `lanes` undefined, for a symbol that does not exist, a number of remainder bytes that the
/// symbols do not ask for, or an unused bit that is set.
bool tmpack_decode_magnitudes(
    const void *symbols, const void *remainders, size_t remainder_bytes, size_t count, size_t width,
    void *lanes);

// MARK: Differences (TMP-6-14)

/// The key that lanes are sorted by: bits `shift` up of the reference's lane, as many as `mask` has; at most 2047.
typedef struct tmpack_sort_key {
  uint32_t shift;
  uint32_t mask;
} tmpack_sort_key;

/// Writes the differences of `count` lanes to the reference's, stably sorted by `key`. A mask of 0 sorts nothing.
///
/// `ends`, if it is not null, gets the end of each key's lanes: `key.mask + 1` numbers. Nothing may overlap.
void tmpack_encode_difference(
    const void *lanes, const void *reference, size_t count, size_t width, bool is_signed, tmpack_sort_key key,
    void *difference, uint32_t *ends);

/// The inverse: the lanes, from their sorted differences and the reference.
void tmpack_decode_difference(
    const void *difference, const void *reference, size_t count, size_t width, bool is_signed,
    tmpack_sort_key key, void *lanes);
