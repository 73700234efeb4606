import TMPackByteIO

extension StorageError.Family {
  /// What the process ends with (Spec/json.md). Stable.
  var exitCode: Int32 {
    switch self {
    case .usage: 1
    case .format: 2
    case .unsupported: 3
    case .inputOutput: 4
    case .limits: 5
    }
  }
}
