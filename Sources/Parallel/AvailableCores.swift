import TMPackCSystem

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Cores that this process may run on; at least 1. On Linux an affinity mask (taskset, cgroup cpusets) is respected.
public func availableCores() -> Int {
  #if os(Linux)
    let cores = Int(tmpack_affinity_core_count())
    if cores > 0 { return cores }
  #endif
  return max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
}
