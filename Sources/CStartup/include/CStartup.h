#pragma once

// What libraries find in the executable when they are loaded. It is not for libraries: it holds for the whole process.

/// The threads of one BLAS call, as the environment's OPENBLAS_NUM_THREADS would give them: one.
int openblas_num_threads_env(void);
int __wrap_openblas_num_threads_env(void);
