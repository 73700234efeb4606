#include "CInstructionSets.h"

bool tmpack_isa_is_available(tmpack_isa isa) {
  switch (isa) {
    case TMPACK_ISA_PORTABLE: return true;
#if defined(__x86_64__)
    case TMPACK_ISA_AVX2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case TMPACK_ISA_AVX512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    default: return false;
  }
}

tmpack_isa tmpack_best_isa(void) {
  return tmpack_isa_is_available(TMPACK_ISA_AVX512) ? TMPACK_ISA_AVX512
      : tmpack_isa_is_available(TMPACK_ISA_AVX2)    ? TMPACK_ISA_AVX2
                                                    : TMPACK_ISA_PORTABLE;
}
