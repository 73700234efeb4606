/// Every bound that is put on a number from a file, before anything proportional to it is allocated.
///
/// `Spec/format.md` section 9 states the ones of the archive; the rest belong to the format named.
package enum Limits {
  // Archive (TMP-9)
  package static let indexBytes = 64 << 20
  package static let sectionBytes = 256 << 20
  package static let experts = 65_536
  package static let tensors = 1 << 20
  package static let frames = 1 << 22
  package static let frameBytes = 4 << 20
  package static let nameBytes = 1024
  package static let dimensions = 16
  package static let tensorBytes = (1 << 53) - 1
  package static let jsonDepth = 16
  /// Values of an index or a manifest besides its lists of entries; names of members count, too.
  package static let manifestValues = 1 << 20
  package static let carriedFiles = 4096
  package static let carriedFileBytes: UInt64 = 64 << 20
  /// Components of a carried file's name.
  package static let carriedFileDepth = 8
  /// Raw bytes that a section may expand to: a floor plus a multiple of the archive's size.
  package static let expansionFloor: UInt64 = 64 << 20
  package static let expansionFactor: UInt64 = 16_384
  /// Raw bytes of all sections together: likewise.
  package static let sectionsFloor: UInt64 = 64 << 20
  package static let sectionsFactor: UInt64 = 256
  /// Numbers of an input of a router, and outputs of one of its layers.
  package static let routerWidth = 65_536
  package static let routerLayers = 16
  /// Weights of all layers of a router, or numbers of all its examples.
  package static let routerElements = 1 << 26
  package static let routerExamples = 1 << 20
  /// A receipt of a mix: at most a few hundred bytes for each tensor.
  package static let receiptBytes: UInt64 = 512 << 20
  /// Rows of a file of embeddings.
  package static let embeddingRows = 1 << 24

  // Checkpoints
  /// Of all names in the metadata of a file, whose Unicode spellings are compared.
  package static let metadataNameBytes = 8 << 20

  // safetensors
  package static let safetensorsHeaderBytes: UInt64 = 100_000_000
  package static let safetensorsMetadataEntries = 65_536
  /// Of names and values.
  package static let safetensorsMetadataBytes = 32 << 20
  // model.safetensors.index.json
  package static let shardIndexBytes: UInt64 = 100_000_000
  package static let shards = 65_536

  // Other JSON: configurations and indexes of pipelines; names of members count as values.
  package static let jsonValues = 1 << 20

  /// Of `config.json`: a quantisation's groups nest in a part of a model's in the model's.
  package static let configurationDepth = 32

  // Weights that are kept as codes
  /// A tensor that says how others are to be read.
  package static let quantizationDescriptionBytes = 1 << 16

  // Recipes
  package static let yamlBytes = 1 << 20
  package static let yamlDepth = 32

  // Task lists and parts of packing
  package static let taskListBytes: UInt64 = 64 << 20
  /// Names of members counted too.
  package static let taskListValues = 1 << 23
  package static let taskShares = 65_536
  package static let taskJobs = 1 << 20

  // PEFT's adapter_config.json
  package static let adapterConfigurationBytes: UInt64 = 1 << 20
  package static let adapterRank = 16_384
  package static let adapterExperts = 4096

  // GGUF
  package static let ggufHeaderBytes = 64 << 20
  package static let ggufMetadataEntries = 65_536
  package static let ggufKeyBytes = 65_535
  package static let ggufStringBytes = 16 << 20
  package static let ggufArrayDepth = 8
  /// Strings and arrays that are elements of arrays, in all of the metadata: each takes far more memory than bytes of
  /// the file. The largest vocabularies have some 300,000 tokens and twice as many merges.
  package static let ggufArrayMembers = 3 << 19
  package static let ggufTensors = 1 << 16
  package static let ggufAlignment = 1 << 20

  // ZIP, for PyTorch and NPZ
  package static let zipEntries = pickleTensors + 4096
  package static let zipDirectoryBytes = 64 << 20
  /// Deflate cannot expand further: 258 bytes for a length and a distance of one bit each.
  package static let deflateExpansion: UInt64 = 1032

  // Python pickles
  package static let pickleBytes = 32 << 20
  /// Values on the stack, and in all lists, tuples and dictionaries together.
  package static let pickleValues = 1 << 21
  /// Lists, dictionaries, tuples, strings and objects that a pickle makes; also places in the memo.
  package static let pickleObjects = 1 << 20
  /// Times that a pickle names a function or a class; a pickle of torch.save does each name once.
  package static let pickleGlobals = 65_536
  /// A pickle of torch.save has 140 bytes or more for each, so `pickleBytes` holds fewer.
  package static let pickleTensors = 1 << 18
  /// Of all tensors together, with those of the dictionaries around.
  package static let pickleNameBytes = 32 << 20
  /// Tensors that are views of the same elements as another.
  package static let ties = 65_536
  /// Containers within containers, when tensors are looked for.
  package static let pickleDepth = 64
  /// Elements that a view with a stride of zero may have beyond those of its storage.
  package static let expandedElements = 1 << 24
  /// How many times the bytes of its storages the tensors of a file may take, tied and overlapping ones counted each
  /// time: networks that share one layer among all have dozens. A little is always free.
  package static let sharedStorageFactor = 256
  package static let sharedStorageFloor = 256 << 20

  // Tensors in pieces
  /// Cells that the faces of pieces cut a tensor into: as many as pieces for every way in which trainings shard.
  package static func cellsOfPieces(_ count: Int) -> Int { 1024 + 16 * count }
  /// What torch.save adds to a piece: its pickle, and padding.
  package static let segmentOverhead = 16 << 20
  /// Values of a distributed checkpoint that are no tensors, and are looked into for some.
  package static let examinedObjects = 1024

  // Decompositions
  /// The shorter side of a matrix of which all singular vectors are computed: hours of work, and 32-bit workspaces.
  package static let decomposedSide = 16_384

  // NumPy; its own reader stops at 10 000.
  package static let npyHeaderBytes = 65_536

  /// A floor plus a multiple of an archive's size.
  package static func bound(ofArchive end: UInt64, _ floor: UInt64, _ factor: UInt64) -> UInt64 {
    let (scaled, overflow) = end.multipliedReportingOverflow(by: factor)
    return overflow ? .max : scaled &+ min(floor, .max - scaled)
  }

  /// Throws `limitExceeded`, naming the limit, when `value` is above `maximum`.
  @inlinable
  package static func check<Value: BinaryInteger>(
    _ value: Value, atMost maximum: some BinaryInteger, _ what: @autoclosure () -> String
  ) throws(StorageError) {
    guard value <= maximum else {
      throw StorageError(.limitExceeded, "\(what()) is \(value), above the limit of \(maximum)")
    }
  }
}
