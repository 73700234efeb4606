// Makes one system call of a process fail, come short, be interrupted or be the last one: for LD_PRELOAD, see campaign.py.
//
//   FAULT_ROOT  folder: only calls on files below it count
//   FAULT_CALL  open, read, write, sync, rename, link, unlink, truncate, map, close, lock, stat, mkdir
//   FAULT_AT    the number of the call, from 1
//   FAULT_KIND  a number of errno; "short": half of what is asked for; "kill": SIGKILL instead of it; "killed": SIGKILL right after
//               it; "stop": SIGSTOP before it; "cut": the file that has been mapped is cut off behind its first page
//   FAULT_NO_LINK  any: there are no hard links
//   FAULT_NO_EXCHANGE  any: renameat2 is a call that the system does not know
//   FAULT_LOG   file: gets "CALL COUNT" lines at the end, "FAULT" when the fault has come
//
// Reading and writing count together whatever the function is called: read is read and pread; rename is rename and renameat2.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { OPEN, READ, WRITE, SYNC, RENAME, LINK, UNLINK, TRUNCATE, MAP, CLOSE, LOCK, STAT, MKDIR, CALLS };
static const char *const names[CALLS] = {"open",     "read", "write", "sync", "rename", "link", "unlink",
                                         "truncate", "map",  "close", "lock", "stat",   "mkdir"};
static atomic_int counts[CALLS];
static atomic_char below[1 << 16];  // whether a descriptor is one of the files that count
static const char *root, *logged;
static size_t root_length;
static int call = -1, at, number, no_link, no_exchange;
static enum { NONE, ERRNO, SHORT, KILL, KILLED, STOP, CUT } kind;
static atomic_int happened;

static void finish(void) {
  if (!logged) return;
  char text[512];
  int length = 0;
  for (int i = 0; i < CALLS; i++) length += snprintf(text + length, sizeof text - length, "%s %d\n", names[i], counts[i]);
  if (happened) length += snprintf(text + length, sizeof text - length, "FAULT\n");
  int file = syscall(SYS_openat, AT_FDCWD, logged, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (file < 0) return;
  if (syscall(SYS_write, file, text, length) != length) abort();
  syscall(SYS_close, file);
}

__attribute__((constructor)) static void begin(void) {
  root = getenv("FAULT_ROOT");
  if (!root) return;
  root_length = strlen(root);
  logged = getenv("FAULT_LOG");
  const char *text = getenv("FAULT_CALL");
  for (int i = 0; text && i < CALLS; i++)
    if (strcmp(text, names[i]) == 0) call = i;
  if ((text = getenv("FAULT_AT"))) at = atoi(text);
  no_link = getenv("FAULT_NO_LINK") != NULL;
  no_exchange = getenv("FAULT_NO_EXCHANGE") != NULL;
  if ((text = getenv("FAULT_KIND"))) {
    if (strcmp(text, "short") == 0) kind = SHORT;
    else if (strcmp(text, "kill") == 0) kind = KILL;
    else if (strcmp(text, "killed") == 0) kind = KILLED;
    else if (strcmp(text, "stop") == 0) kind = STOP;
    else if (strcmp(text, "cut") == 0) kind = CUT;
    else kind = ERRNO, number = atoi(text);
  }
  atexit(finish);
}

// glibc's exit handlers do not run for _exit, which ends an interrupted run.
void _exit(int code) {
  finish();
  syscall(SYS_exit_group, code);
  __builtin_unreachable();
}

static int counts_path(const char *path) {
  if (!root || !path) return 0;
  if (path[0] == '/') return strncmp(path, root, root_length) == 0;
  char here[4096];
  return getcwd(here, sizeof here) && strncmp(here, root, root_length) == 0;
}
static int counts_file(int file) { return root && file >= 0 && file < (1 << 16) && below[file]; }

static void die(void) {
  happened = 1;
  finish();
  kill(getpid(), SIGKILL);
}

// What to do instead of a call or around it.
static int fault(int this) {
  int count = ++counts[this];
  if (this != call) return NONE;
  if (count != at) return NONE;
  happened = 1;
  if (kind == KILL) die();
  if (kind == STOP) kill(getpid(), SIGSTOP);
  if (kind == ERRNO) errno = number;
  return kind;
}

#define REAL(name) \
  static __typeof__(name) *real; \
  if (!real) real = dlsym(RTLD_NEXT, #name)
// Around a call that counts: the fault, or the call, or death behind it.
#define AROUND(this, counted, result_type, invoke) \
  int what = (counted) ? fault(this) : NONE; \
  if (what == ERRNO) return (result_type)-1; \
  result_type result = invoke; \
  if (what == KILLED) die(); \
  return result

static int opened(int file, int counted) {
  if (file >= 0 && file < (1 << 16)) below[file] = counted;
  return file;
}
#define OPENING(function, ...) \
  int mode = 0; \
  if (flags & (O_CREAT | O_TMPFILE)) { \
    va_list rest; \
    va_start(rest, flags); \
    mode = va_arg(rest, int); \
    va_end(rest); \
  } \
  REAL(function); \
  int counted = counts_path(path); \
  AROUND(OPEN, counted, int, opened(real(__VA_ARGS__), counted))
int open(const char *path, int flags, ...) { OPENING(open, path, flags, mode); }
int open64(const char *path, int flags, ...) { OPENING(open64, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { OPENING(openat, folder, path, flags, mode); }

#define PART (what == SHORT && count > 1 ? count / 2 : count)
ssize_t read(int file, void *buffer, size_t count) {
  REAL(read);
  AROUND(READ, counts_file(file), ssize_t, real(file, buffer, PART));
}
ssize_t pread(int file, void *buffer, size_t count, off_t offset) {
  REAL(pread);
  AROUND(READ, counts_file(file), ssize_t, real(file, buffer, PART, offset));
}
ssize_t pread64(int file, void *buffer, size_t count, off64_t offset) {
  REAL(pread64);
  AROUND(READ, counts_file(file), ssize_t, real(file, buffer, PART, offset));
}
ssize_t write(int file, const void *buffer, size_t count) {
  REAL(write);
  AROUND(WRITE, counts_file(file), ssize_t, real(file, buffer, PART));
}
ssize_t pwrite(int file, const void *buffer, size_t count, off_t offset) {
  REAL(pwrite);
  AROUND(WRITE, counts_file(file), ssize_t, real(file, buffer, PART, offset));
}
ssize_t pwrite64(int file, const void *buffer, size_t count, off64_t offset) {
  REAL(pwrite64);
  AROUND(WRITE, counts_file(file), ssize_t, real(file, buffer, PART, offset));
}
int fsync(int file) { REAL(fsync); AROUND(SYNC, counts_file(file), int, real(file)); }
int ftruncate(int file, off_t size) { REAL(ftruncate); AROUND(TRUNCATE, counts_file(file), int, real(file, size)); }
int ftruncate64(int file, off64_t size) { REAL(ftruncate64); AROUND(TRUNCATE, counts_file(file), int, real(file, size)); }
int flock(int file, int how) { REAL(flock); AROUND(LOCK, counts_file(file), int, real(file, how)); }
int close(int file) {
  REAL(close);
  int counted = counts_file(file), what = counted ? fault(CLOSE) : NONE, saved = errno;
  if (counted) below[file] = 0;
  // It is closed whatever it says.
  int result = real(file);
  if (what == KILLED) die();
  if (what != ERRNO) return result;
  errno = saved;
  return -1;
}
int rename(const char *from, const char *to) { REAL(rename); AROUND(RENAME, counts_path(to), int, real(from, to)); }
int link(const char *from, const char *to) {
  REAL(link);
  if (no_link && counts_path(to)) { errno = EPERM; return -1; }
  AROUND(LINK, counts_path(to), int, real(from, to));
}
int unlink(const char *path) { REAL(unlink); AROUND(UNLINK, counts_path(path), int, real(path)); }
int rmdir(const char *path) { REAL(rmdir); AROUND(UNLINK, counts_path(path), int, real(path)); }
int mkdir(const char *path, mode_t mode) { REAL(mkdir); AROUND(MKDIR, counts_path(path), int, real(path, mode)); }
int fstat(int file, struct stat *status) { REAL(fstat); AROUND(STAT, counts_file(file), int, real(file, status)); }

long syscall(long which, ...) {
  REAL(syscall);
  long a[6];
  va_list rest;
  va_start(rest, which);
  for (int i = 0; i < 6; i++) a[i] = va_arg(rest, long);
  va_end(rest);
  int counted = which == SYS_renameat2 && counts_path((const char *)a[3]);
  if (counted && no_exchange) { ++counts[RENAME]; errno = ENOSYS; return -1; }
  AROUND(RENAME, counted, long, real(which, a[0], a[1], a[2], a[3], a[4], a[5]));
}

static void *mapped(void *start, int file, size_t count) {
  // As another process would: the size is what it was when it was mapped, the pages are gone.
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", file);
  if (count > 4096 && truncate(path, 4096) != 0) abort();
  return start;
}
#define MAPPING(function) \
  REAL(function); \
  int what = counts_file(file) ? fault(MAP) : NONE; \
  if (what == ERRNO) return MAP_FAILED; \
  void *start = real(address, count, protection, flags, file, offset); \
  if (what == KILLED) die(); \
  return what == CUT ? mapped(start, file, count) : start
void *mmap(void *address, size_t count, int protection, int flags, int file, off_t offset) { MAPPING(mmap); }
void *mmap64(void *address, size_t count, int protection, int flags, int file, off64_t offset) { MAPPING(mmap64); }
