#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Whether this CPU has instructions for CRC-32 that `tmpack_crc32` can use: PCLMULQDQ on x86-64, CRC32 on arm64.
bool tmpack_crc32_is_available(void);

/// The state of a CRC-32 (polynomial 0xEDB88320, reflected) after `count` more bytes. A state is the complement of the
/// checksum, as in every step of a table's loop.
///
/// The instructions must be available, and `count` a multiple of 16, at least 64.
uint32_t tmpack_crc32(uint32_t state, const void *bytes, size_t count);

/// Messages that `tmpack_sha256_lanes` digests side by side.
#define TMPACK_SHA256_LANES 16

/// Whether this CPU has the vectors for that: AVX-512BW.
bool tmpack_sha256_lanes_are_available(void);

/// Takes `count` blocks more of 64 bytes into each of the SHA-256 states, from blocks[lane] on.
///
/// `states` has word i of a lane's state at [TMPACK_SHA256_LANES * i + lane]. The vectors must be available.
void tmpack_sha256_lanes(uint32_t *states, const void *const *blocks, size_t count);
