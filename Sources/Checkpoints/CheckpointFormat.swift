import TMPackByteIO
import TMPackTensorKit

/// What a file is, told from its first bytes and never from its name.
package enum CheckpointFormat: Sendable, CaseIterable {
  case safetensors
  case tmpack
  case gguf
  case zip
  case legacyTorch
  case pickle
  case hdf5
  case npy
  case json
  case gitLFSPointer
  case markup

  /// Enough of a file to tell.
  static let prefixBytes = 32

  private static let magics: [(bytes: [UInt8], format: CheckpointFormat)] =
    TorchFile.legacyMagics.map { ($0, .legacyTorch) } + [
      ([0x89, UInt8(ascii: "T"), UInt8(ascii: "M"), UInt8(ascii: "P"), 0x0D, 0x0A, 0x1A, 0x0A], .tmpack),
      (Array("GGUF".utf8), .gguf),
      ([UInt8(ascii: "P"), UInt8(ascii: "K"), 3, 4], .zip),
      // Without entries: `numpy.savez` of nothing.
      ([UInt8(ascii: "P"), UInt8(ascii: "K"), 5, 6], .zip),
      ([0x80, 2], .pickle), ([0x80, 3], .pickle), ([0x80, 4], .pickle), ([0x80, 5], .pickle),
      ([0x89] + Array("HDF\r\n".utf8) + [0x1A, 0x0A], .hdf5),
      ([0x93] + Array("NUMPY".utf8), .npy),
      (Array("version https://git-lfs.".utf8), .gitLFSPointer),
      (Array("{".utf8), .json),
      (Array("<".utf8), .markup),
    ]

  /// - Parameter prefix: the first bytes of the file, up to `prefixBytes`.
  init?(sniffing prefix: [UInt8]) {
    let opensHeader =
      prefix.count > SafetensorsKey.lengthBytes && prefix[SafetensorsKey.lengthBytes] == UInt8(ascii: "{")
    // A header's length fits four bytes; no magic above is followed by four zeros.
    if opensHeader, prefix[4..<SafetensorsKey.lengthBytes].allSatisfy({ $0 == 0 }) {
      self = .safetensors
    } else if let known = Self.magics.first(where: { prefix.starts(with: $0.bytes) }) {
      self = known.format
    } else if opensHeader {
      // A damaged length; the reader says so.
      self = .safetensors
    } else {
      return nil
    }
  }
}

extension CheckpointFormat: CustomStringConvertible {
  package var description: String {
    switch self {
    case .safetensors: "a safetensors file"
    case .tmpack: "a tmpack archive"
    case .gguf: "a GGUF file"
    case .zip: "a ZIP archive"
    case .legacyTorch: "a PyTorch file in the format before 1.6"
    case .pickle: "a Python pickle"
    case .hdf5: "an HDF5 file"
    case .npy: "a NumPy array"
    case .json: "JSON"
    case .gitLFSPointer: "a Git LFS pointer"
    case .markup: "a web page"
    }
  }

  /// What to do with a file of a format that cannot be read as a checkpoint.
  private var advice: String {
    switch self {
    case .tmpack: "; unpack an expert of it first (compare and export take FILE#NAME)"
    case .json: "; if it is the index of shards, name its folder"
    case .gitLFSPointer: "; fetch the file itself with git lfs pull"
    case .markup: "; the download went wrong"
    default: ", which this version does not read; convert it to safetensors"
    }
  }

  /// Opens a file that holds tensors.
  ///
  /// - Throws: `unknownFormat` when nothing is recognised, or something that holds no tensors;
  ///   `unsupportedFeature` for a format that cannot be read; what the reader of the format throws.
  static func open(_ path: String, mode: InputMode) throws(StorageError) -> any TensorSource {
    let file = try ReadableFile(path, mode: mode)
    // Whatever it begins with: its pieces mean nothing without the folder's metadata.
    guard !path.hasSuffix(DistributedCheckpoint.suffix) else {
      throw StorageError(
        .unsupportedFeature, "is a part of a distributed checkpoint of PyTorch; name its folder", file: path)
    }
    let prefix = try file.bytes(at: 0, count: Int(min(UInt64(prefixBytes), file.size)))
    guard !prefix.isEmpty else { throw StorageError(.unknownFormat, "is empty", file: path) }
    guard let format = CheckpointFormat(sniffing: prefix) else {
      if let refusal = OtherFormats.refusal(ofFile: path) { throw refusal }
      throw StorageError(.unknownFormat, "is not a checkpoint of any known format", file: path, offset: 0)
    }
    switch format {
    case .safetensors:
      let safetensors = try SafetensorsFile(file)
      try SafetensorsPieces.refuse(safetensors)
      return safetensors
    case .gguf:
      return try GGUFFile(file)
    case .zip:
      return try openArchive(ZipArchive(file))
    case .legacyTorch:
      return try TorchFile(legacy: file)
    case .npy:
      return try NumPyFile(file)
    case .json, .gitLFSPointer, .markup:
      throw StorageError(.unknownFormat, "is \(format)\(format.advice)", file: path)
    case .hdf5: throw OtherFormats.hdf5(path)
    case .tmpack, .pickle:
      throw StorageError(.unsupportedFeature, "is \(format)\(format.advice)", file: path)
    }
  }

  /// What a ZIP archive is, its entries tell: PyTorch's have a pickle of a fixed name, NumPy's nothing but arrays.
  private static func openArchive(_ archive: ZipArchive) throws(StorageError) -> any TensorSource {
    if let pickle = TorchFile.pickle(in: archive) { return try TorchFile(archive, pickle: pickle) }
    if archive.entries.isEmpty || archive.entries.contains(where: { $0.name.hasSuffix(NumPyFile.suffix) }) {
      return try NumPyFile(archive)
    }
    if let refusal = OtherFormats.refusal(of: archive) { throw refusal }
    throw StorageError(
      .unsupportedFeature, "is a ZIP archive, but neither of PyTorch nor of NumPy", file: archive.file.path)
  }
}
