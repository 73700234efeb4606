import ArgumentParser
import TMPackByteIO
import TMPackJournal

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Which share of the work: `3/8`, or what a cluster engine has put into the environment.
struct TaskChoice: ExpressibleByArgument {
  private enum Source {
    case given(Int)
    /// `SLURM_ARRAY_TASK_ID`, from 1.
    case slurm
    /// `JOB_COMPLETION_INDEX`, from 0.
    case kubernetes
  }
  private let source: Source
  /// nil for all tasks of a Slurm array.
  private let count: Int?

  init?(argument: String) {
    let parts = argument.split(separator: "/", omittingEmptySubsequences: false)
    count = parts.count == 2 ? Int(parts[1]) : nil
    switch parts.first {
    case "slurm" where parts.count == 1 || count != nil: source = .slurm
    case "kubernetes" where count != nil: source = .kubernetes
    default:
      guard count != nil, let index = Int(parts[0]) else { return nil }
      source = .given(index)
    }
  }

  /// - Throws: `invalidArgument` for a share that does not exist, or an environment that does not say one.
  func share() throws(StorageError) -> TaskShare {
    switch source {
    case .given(let index): return try TaskShare(index, of: count!)
    case .kubernetes:
      let index = try Self.variable("JOB_COMPLETION_INDEX")
      guard index < count! else {
        throw StorageError(.invalidArgument, "JOB_COMPLETION_INDEX is \(index), and counts \(count!) shares from 0")
      }
      return try TaskShare(index + 1, of: count!)
    case .slurm:
      let index = try Self.variable("SLURM_ARRAY_TASK_ID")
      if let count { return try TaskShare(index, of: count) }
      let size = try Self.variable("SLURM_ARRAY_TASK_COUNT")
      // Some tasks of an array are not the shares of a smaller one.
      guard try Self.variable("SLURM_ARRAY_TASK_MIN") == 1, try Self.variable("SLURM_ARRAY_TASK_MAX") == size else {
        throw StorageError(
          .invalidArgument,
          "the array is not 1 to \(size), so it does not say of how many shares task \(index) is one; say --task slurm/N"
        )
      }
      return try TaskShare(index, of: size)
    }
  }

  private static func variable(_ name: String) throws(StorageError) -> Int {
    guard let text = getenv(name).map({ String(cString: $0) }) else {
      throw StorageError(.invalidArgument, "\(name) is not set; --task takes i/N, slurm, slurm/N or kubernetes/N")
    }
    guard let value = Int(text) else { throw StorageError(.invalidArgument, "\(name) is no number: \(text)") }
    return value
  }
}
