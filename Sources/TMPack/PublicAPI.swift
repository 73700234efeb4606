// The names of the public API (docs/public-api.md), so that `import TMPack` is all that a user of the library needs.

import TMPackByteIO
import TMPackCheckpoints
import TMPackDigests
import TMPackPacking
import TMPackParallel
import TMPackReading
import TMPackTensorKit

// Errors, files, threads
public typealias CarriedFileName = TMPackByteIO.CarriedFileName
public typealias FileRange = TMPackByteIO.FileRange
public typealias InputMode = TMPackByteIO.InputMode
public typealias StorageError = TMPackByteIO.StorageError
public typealias ContentDigest = TMPackDigests.ContentDigest
public typealias OrderedPipeline = TMPackParallel.OrderedPipeline

// Tensors
public typealias ConversionFormat = TMPackTensorKit.ConversionFormat
public typealias ConvertedSource = TMPackTensorKit.ConvertedSource
public typealias DType = TMPackTensorKit.DType
public typealias FactorDType = TMPackTensorKit.FactorDType
public typealias FloatFormat = TMPackTensorKit.FloatFormat
public typealias MemoryTensorSource = TMPackTensorKit.MemoryTensorSource
public typealias MetadataArray = TMPackTensorKit.MetadataArray
public typealias MetadataValue = TMPackTensorKit.MetadataValue
public typealias Overflow = TMPackTensorKit.Overflow
public typealias Shape = TMPackTensorKit.Shape
public typealias SpannedTensor = TMPackTensorKit.SpannedTensor
public typealias StoredTensor = TMPackTensorKit.StoredTensor
public typealias TensorBytes = TMPackTensorKit.TensorBytes
public typealias TensorInfo = TMPackTensorKit.TensorInfo
public typealias TensorSource = TMPackTensorKit.TensorSource
public typealias TypedMetadata = TMPackTensorKit.TypedMetadata

// Checkpoints
public typealias CarriedContent = TMPackCheckpoints.CarriedContent
public typealias CarriedFile = TMPackCheckpoints.CarriedFile
public typealias Checkpoint = TMPackCheckpoints.Checkpoint
public typealias CheckpointDestination = TMPackCheckpoints.CheckpointDestination
public typealias SkippedFile = TMPackCheckpoints.SkippedFile
public typealias WritableFormat = TMPackCheckpoints.WritableFormat

// Archives: opening, rebuilding, routing, checking
public typealias Archive = TMPackReading.Archive
public typealias Comparison = TMPackReading.Comparison
public typealias Embeddings = TMPackReading.Embeddings
public typealias Mix = TMPackReading.Mix
public typealias MixCache = TMPackReading.MixCache
public typealias MixFile = TMPackReading.MixFile
public typealias Reconstructor = TMPackReading.Reconstructor
public typealias Router = TMPackReading.Router
public typealias RouterWeights = TMPackReading.RouterWeights
public typealias Routing = TMPackReading.Routing
public typealias RoutingOptions = TMPackReading.RoutingOptions
public typealias TMPackVersion = TMPackReading.TMPackVersion
public typealias Verification = TMPackReading.Verification
public typealias WeightedExpert = TMPackReading.WeightedExpert
public typealias WorkProgress = TMPackReading.WorkProgress

// Packing
public typealias ExpertInput = TMPackPacking.ExpertInput
public typealias PackSummary = TMPackPacking.PackSummary
public typealias Packer = TMPackPacking.Packer
public typealias RateControl = TMPackPacking.RateControl
