import TMPackByteIO

/// Of checkpoints, by format.
extension Limits {
  // All
  /// Of all names in the metadata of a file, whose Unicode spellings are compared.
  package static let metadataNameBytes = 8 << 20
  /// Tensors that are views of the same elements as another.
  package static let ties = 65_536

  // safetensors
  package static let safetensorsHeaderBytes: UInt64 = 100_000_000
  package static let safetensorsMetadataEntries = 65_536
  /// Of names and values.
  package static let safetensorsMetadataBytes = 32 << 20

  // model.safetensors.index.json
  package static let shardIndexBytes: UInt64 = 100_000_000
  package static let shards = 65_536

  // PEFT's adapter_config.json
  package static let adapterConfigurationBytes: UInt64 = 1 << 20
  package static let adapterRank = 16_384
  package static let adapterExperts = 4096
  /// Of a side that is made of smaller matrices.
  package static let adapterElements = 1 << 30

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

  // NumPy; its own reader stops at 10 000.
  package static let npyHeaderBytes = 65_536
}
