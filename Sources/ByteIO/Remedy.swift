/// A way out of an error. What to type, or to call, whoever offers it says: this library knows no command line.
package enum Remedy: Sendable, Hashable {
  /// Let the output take the place of what is there.
  case replace
  /// Forget what an earlier run has finished.
  case beginAnew
  /// Keep these tensors, or all, as they are.
  case keepExactly
  /// Keep everything to the bit.
  case lossless
  /// Keep codes as they are.
  case keepCodes
  /// Store what makes an expert exact.
  case storeCorrections
  /// Take the base as the shared model.
  case shareBase
  /// Take a checkpoint as the shared model.
  case shareCheckpoint
  /// Give the shared model of a detached archive.
  case giveShared
  /// Give the model that an adapter is for.
  case giveBase
  /// Say which dtype what is made has.
  case chooseDType
  /// Take this dtype.
  case takeDType(String)
  /// Convert one of the models to the other's dtype.
  case convertDType
  /// Give both models the names that a library has in memory.
  case convertNames
  /// Take the names of the archive.
  case takeArchiveNames
  /// Merge what has a partner.
  case allowUnmatched
  /// Give what was measured of an expert.
  case giveStatistics
  /// Approximate by so many components as are asked for.
  case chooseRank
  /// Make the task list again.
  case planTasks
  /// Do this share.
  case runTask(String)
  /// Remove the router, too.
  case dropRouter
  /// Leave out what is damaged.
  case dropDamaged(String)
  /// Say where normalisations stand.
  case placeNormalization
  /// Give inputs to validate by.
  case giveValidation
  /// Work on fewer threads.
  case fewerThreads
}
