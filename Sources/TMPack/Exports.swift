// `import TMPack` is all that a user of the library needs.
@_exported import ArchiveFormat
@_exported import ByteIO
@_exported import Checkpoints
@_exported import Digests
@_exported import Factorization
@_exported import Models
@_exported import Parallel
@_exported import TensorKit
