#include <string.h>

#include "CKernels.h"

const char *tmpack_cpu_features(void) {
#if defined(__x86_64__)
  static _Thread_local char names[128];
  names[0] = 0;
#define FEATURE(name) \
  if (__builtin_cpu_supports(name)) strcat(names, names[0] ? " " name : name)
  FEATURE("sse4.2");
  FEATURE("avx");
  FEATURE("avx2");
  FEATURE("fma");
  FEATURE("avx512f");
  FEATURE("avx512bw");
  FEATURE("avx512dq");
  FEATURE("avx512vl");
  FEATURE("avx512vnni");
  FEATURE("avx512bf16");
#undef FEATURE
  return names;
#elif defined(__aarch64__)
  return "neon";
#else
  return "";
#endif
}
