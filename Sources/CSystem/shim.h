// What Swift's own C library modules leave out.
#ifdef __linux__
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

/// Cores in the process's affinity mask; 0 when it cannot be read.
static inline int tmpack_affinity_core_count(void) {
  unsigned long mask[128] = {0};  // 8192 cores
  long bytes = syscall(SYS_sched_getaffinity, 0, sizeof mask, mask);
  int count = 0;
  for (long i = 0; i < bytes / (long)sizeof mask[0]; i++) count += __builtin_popcountl(mask[i]);
  return count;
}
#endif
