import TMPackByteIO
import TMPackCheckpoints
import TMPackModels
import TMPackReading
import TMPackTensorKit

/// `PATH`, or `ARCHIVE#SELECTION`.
struct TensorReference {
  private let path: String
  /// What follows the last `#`.
  private let selection: String?

  init(_ text: String) {
    // A path that exists as it stands is meant as it stands.
    if FileTree.kind(of: text) == nil, let hash = text.lastIndex(of: "#") {
      path = String(text[..<hash])
      selection = String(text[text.index(after: hash)...])
    } else {
      path = text
      selection = nil
    }
  }

  var isPath: Bool { selection == nil }

  /// - Parameters:
  ///   - adapterBase: what an adapter is merged into.
  ///   - decoding: whether weights that are kept as codes are to be numbers.
  func open(
    _ archives: OpenArchives, _ adapterBase: AdapterBaseOptions? = nil, decoding: Bool = false
  ) throws(StorageError) -> any TensorSource {
    guard let (archive, weights) = try openSelection(archives) else {
      let model = try checkpoint(archives, adapterBase)
      return decoding ? try model.dequantized().source : model.source
    }
    let reconstructor = try Reconstructor(archive, memoryLimit: 0)
    if let decoded = try reconstructor.decodedMix(weights) { return decoded }
    let mix = try reconstructor.mix(weights)
    return decoding ? try DequantizedSource(mix, mix.quantization()) : mix
  }

  private func checkpoint(
    _ archives: OpenArchives, _ adapterBase: AdapterBaseOptions?
  ) throws(StorageError) -> Checkpoint {
    try Checkpoint.open(path, onBase: try adapterBase?.source(archives), mode: archives.io)
  }

  /// Files beside the model that hold weights, too: see `Checkpoint.otherWeightFiles`.
  func otherWeightFiles(
    _ archives: OpenArchives, _ adapterBase: AdapterBaseOptions? = nil
  ) throws(StorageError) -> [String] {
    selection == nil ? try checkpoint(archives, adapterBase).otherWeightFiles : []
  }

  /// What the model's files say of its names; nil where they cannot be read.
  func architecture(_ archives: OpenArchives, _ adapterBase: AdapterBaseOptions?) -> ModelArchitecture? {
    if selection != nil {
      return (try? openAdapterBase(archives)).map { ModelArchitecture(in: $0.files) }
    }
    return (try? checkpoint(archives, adapterBase)).map { ModelArchitecture(of: $0) }
  }

  /// The model as one that an adapter is for.
  func openAdapterBase(_ archives: OpenArchives) throws(StorageError) -> AdapterBase {
    guard let (archive, weights) = try openSelection(archives) else {
      return try AdapterBase(Checkpoint.open(path, mode: archives.io))
    }
    return try AdapterBase(Reconstructor(archive, memoryLimit: 0).mix(weights))
  }

  /// The archive and what is selected of it; nil for a mere path.
  func openSelection(_ archives: OpenArchives) throws(StorageError) -> (archive: Archive, weights: RouterWeights)? {
    guard let selection else { return nil }
    let weights: RouterWeights
    if selection.isEmpty {
      weights = .shared
    } else if selection.contains("=") {
      weights = try RouterWeights(parsing: selection)
    } else {
      weights = .expert(selection)
    }
    return (try archives.archive(path), weights)
  }
}

/// The archives that a command reads: each is opened, and warned of, once, however many references name it.
final class OpenArchives {
  let io: InputMode
  private let detached: DetachedModel
  private var archives: [Archive]

  /// - Parameter archives: those that are open already.
  init(_ io: InputMode, _ detached: DetachedModel, _ archives: [Archive] = []) {
    self.io = io
    self.detached = detached
    self.archives = archives
  }

  func archive(_ path: String) throws(StorageError) -> Archive {
    if let known = archives.first(where: { FileTree.isSame($0.path, path) }) { return known }
    var archive = try Archive.opened(path, io)
    // Another of them may be an archive that is not detached.
    if archive.isDetached { archive = try detached.complete(archive, io) }
    archives.append(archive)
    return archive
  }
}
