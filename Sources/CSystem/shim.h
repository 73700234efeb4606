// What Swift's own C library modules leave out.
#include <signal.h>

/// The address that a SIGBUS or SIGSEGV is about.
static inline void *tmpack_fault_address(void *signal_info) { return ((siginfo_t *)signal_info)->si_addr; }

#ifdef __GLIBC__
#include <malloc.h>

/// Has the allocations of all threads come from one arena. glibc reserves 64 MB of address space for each further one, and where that
/// cannot be had it tries again with every allocation.
static inline void tmpack_use_one_arena(void) { mallopt(M_ARENA_MAX, 1); }
#else
static inline void tmpack_use_one_arena(void) {}
#endif

#ifdef __linux__
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
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

/// sync_file_range with SYNC_FILE_RANGE_WRITE, where the system has it in this form; glibc declares it for
/// _GNU_SOURCE only, which Swift's import of it does not set.
static inline long tmpack_begin_sync(int file, int64_t offset, int64_t count) {
#ifdef SYS_sync_file_range
  return syscall(SYS_sync_file_range, file, offset, count, 2u);
#else
  return -1;
#endif
}

/// renameat2, which glibc declares for _GNU_SOURCE only.
static inline int tmpack_rename(const char *from, const char *to, unsigned flags) {
#ifdef SYS_renameat2
  return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
#else
  errno = ENOSYS;
  return -1;
#endif
}
#endif
