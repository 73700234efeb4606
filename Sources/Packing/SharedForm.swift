/// How an archive has the tensors of its shared model. Levels are zstd's.
package enum SharedForm: Sendable, Hashable {
  case compressed(level: Int)
  /// As they are, but for small ones (TMP-5-12).
  case mappable(level: Int)
  /// Outside, bound by digest (TMP-6-4).
  case detached
}
