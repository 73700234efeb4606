import ArchiveFormat
import ByteIO
import Factorization
import Parallel
import Zstandard

/// Facts about this build and this machine, for bug reports and benchmarks.
public struct Diagnostics: Sendable {
  /// Version of the archive format.
  public let format = "\(HeaderSlot.majorVersion).\(HeaderSlot.minorVersion)"
  public let zstd = Zstandard.version
  public let blas = BLAS.configuration
  /// The kernels that the BLAS has chosen; old ones on a new processor make packing several times slower.
  public let blasCore = BLAS.coreName
  public let cpuFeatures = CPU.features
  public let cores = availableCores()
  public let memoryBytes: UInt64
  public let freeDiskBytes: UInt64

  /// - Parameter folder: on the disk of interest.
  public init(folder: String) throws(StorageError) {
    memoryBytes = Resources.memoryBytes
    freeDiskBytes = try Resources.freeDiskBytes(at: folder)
  }
}
