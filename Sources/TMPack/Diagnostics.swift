import TMPackArchiveFormat
import TMPackByteIO
import TMPackFactorization
import TMPackFactors
import TMPackParallel
import TMPackZstandard

/// Facts about this build and this machine, for bug reports and benchmarks.
package struct Diagnostics: Sendable {
  /// Version of the archive format.
  package let format = "\(HeaderSlot.majorVersion).\(HeaderSlot.minorVersion)"
  package let zstd = Zstandard.version
  package let blas = BLAS.configuration
  /// The kernels that the BLAS has chosen; old ones on a new processor make packing several times slower.
  package let blasCore = BLAS.coreName
  package let cpuFeatures = CPU.features
  package let cores = availableCores()
  package let memoryBytes: UInt64
  package let freeDiskBytes: UInt64

  /// - Parameter folder: on the disk of interest.
  package init(folder: String) throws(StorageError) {
    memoryBytes = Resources.memoryBytes
    freeDiskBytes = try Resources.freeDiskBytes(at: folder)
  }
}
