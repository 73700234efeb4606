import TMPackByteIO

extension Remedy {
  /// What to type.
  var words: String {
    switch self {
    case .replace: "--force replaces it"
    case .beginAnew: "--force begins anew"
    case .keepExactly: "--lossless or --exclude keeps it exactly"
    case .lossless: "--lossless is exact"
    case .keepCodes: "--lossless keeps them as they are"
    case .storeCorrections: "pack it with --exact"
    case .shareBase: "--shared base takes the base as the shared model"
    case .shareCheckpoint: "give --shared base, --shared-from or --shared-out"
    case .giveShared: "give it with --shared-from"
    case .giveBase: "give that with --base"
    case .chooseDType: "say it with dtype: in the recipe, or --dtype"
    case .takeDType(let dtype): "--dtype \(dtype) holds them"
    case .convertDType: "convert one of them first, with convert --dtype"
    case .convertNames: "convert --naming transformers-5 gives both the same names"
    case .takeArchiveNames: "unpack --naming base takes the archive's names"
    case .allowUnmatched: "--allow-unmatched merges the rest"
    case .giveStatistics: "give that with --statistics"
    case .chooseRank: "--rank approximates matrices"
    case .planTasks: "make it again with plan --tasks"
    case .runTask(let share): "run it with --task \(share)"
    case .dropRouter: "--drop-router removes the router, too"
    case .dropDamaged(let what): "--from takes another archive that has them, --drop-damaged leaves out \(what)"
    case .placeNormalization: "say it with --normalization"
    case .giveValidation: "give --validation"
    case .fewerThreads: "--threads 1 needs least"
    }
  }
}

extension StorageError {
  /// With what to type, where there is something.
  var worded: StorageError {
    guard let remedy else { return self }
    return StorageError(
      code, "\(message); \(remedy.words)", file: file, offset: offset, expert: expert, tensor: tensor)
  }
}
