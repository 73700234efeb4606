#include "CStartup.h"

// OpenBLAS asks itself this when it is loaded, before `main`, and starts as many threads but one; they spin for some 20 ms
// before they sleep, which is as much work as a short command does. On Linux an executable's function comes before a
// library's. It is no public interface of OpenBLAS: where there is no such function nothing changes, and `BLAS` asks
// for one thread in any case. Weak, beside one in the executable itself: that is asked by the other name, with the linker's --wrap.
__attribute__((weak)) int openblas_num_threads_env(void) { return 1; }
int __wrap_openblas_num_threads_env(void) { return 1; }
