import TMPackByteIO
import TMPackCOpenBLAS
import TMPackFactors

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The process's OpenBLAS, set up once: the right kernels, and one thread for each call.
///
/// Parallelism is one tensor a thread; OpenBLAS's own threads on top of that are slower than none. Calls from several
/// threads at once are safe, since each works in a buffer of its own.
package enum BLAS {
  /// Must come before every use of BLAS or LAPACK. Cheap after the first time, and safe from any thread.
  package static func prepare() { _ = prepared }

  /// The processor that OpenBLAS's kernels were written for, such as `SkylakeX`.
  package static var coreName: String {
    prepare()
    return String(cString: openblas_get_corename())
  }

  /// Version and build options of OpenBLAS.
  package static var configuration: String {
    prepare()
    return String(cString: openblas_get_config())
  }

  /// The same, for calls on so many threads at once, each of which OpenBLAS gives a buffer. Up to version 0.3.21 it asks for one
  /// again and again where the system refuses it; so they are made here, before the work begins.
  ///
  /// - Throws: `outOfMemory`.
  package static func prepare(threads: Int) throws(StorageError) {
    prepare()
    try buffers.grow(to: threads)
  }

  private static let buffers = BLASBuffers()

  private static let prepared: Void = {
    chooseKernels()
    openblas_set_num_threads(1)
  }()

  /// Kernels from before AVX2: never what a processor with it should run.
  private static let outdatedCores: Set<String> = [
    "Katmai", "Coppermine", "Northwood", "Prescott", "Banias", "Core2", "Penryn", "Dunnington", "Nehalem", "Atom",
    "Athlon", "Opteron", "Opteron_SSE3", "Barcelona", "Bobcat", "Nano", "Sandybridge", "Bulldozer", "Piledriver",
    "Steamroller",
  ]

  /// An OpenBLAS older than the processor does not know it and falls back to kernels of 2004, four to six times slower.
  ///
  /// It then chooses again, by the name in `OPENBLAS_CORETYPE`. The two functions that do so are exported but are not
  /// its public interface, so they are looked up by name and done without where they are missing.
  private static func chooseKernels() {
    #if os(Linux) && arch(x86_64)
      let variable = "OPENBLAS_CORETYPE"
      guard getenv(variable) == nil, outdatedCores.contains(String(cString: openblas_get_corename())) else { return }
      let features = Set(CPU.features)
      let core: String
      if features.isSuperset(of: ["avx512f", "avx512bw", "avx512dq", "avx512vl"]) {
        core = "SkylakeX"
      } else if features.isSuperset(of: ["avx2", "fma"]) {
        core = "Haswell"
      } else {
        return
      }
      typealias Function = @convention(c) () -> Void
      guard let quit = dlsym(nil, "gotoblas_dynamic_quit"), let initialize = dlsym(nil, "gotoblas_dynamic_init") else {
        return
      }
      setenv(variable, core, 1)
      unsafeBitCast(quit, to: Function.self)()
      unsafeBitCast(initialize, to: Function.self)()
      unsetenv(variable)
    #endif
  }
}
