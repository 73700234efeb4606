#pragma once

#include <stdbool.h>

/// Which of a kernel's variants to use: one that this CPU has. All give identical bits.
typedef enum tmpack_isa {
  // Whatever the compiler's target guarantees. Without fused multiply-add in hardware (x86-64 before 2013) the kernels that
  // need it call the C library's: right, and slow.
  TMPACK_ISA_PORTABLE = 0,
  TMPACK_ISA_AVX2 = 1,  // AVX2 and FMA
  TMPACK_ISA_AVX512 = 2,  // AVX-512F; kernels that need more of AVX-512 do without where it is missing
} tmpack_isa;

/// Whether this CPU, and this build, can run the kernels of `isa`.
bool tmpack_isa_is_available(tmpack_isa isa);

/// The last of those that are available.
tmpack_isa tmpack_best_isa(void);
