// What Swift's own C library modules leave out.
#ifdef __linux__
#include <sys/statfs.h>
#endif
