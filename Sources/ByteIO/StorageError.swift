/// The one error of the library: what is wrong, where, and whose fault it is.
///
/// Two errors are equal when their codes are; the rest is for people.
public struct StorageError: Error, Sendable, Hashable {
  /// What went wrong. Stable: raw values appear in `--json` output and never change meaning.
  public enum Code: String, Sendable, CaseIterable {
    // The caller asked for something that cannot be.
    case invalidArgument = "invalid-argument"
    case unknownName = "unknown-name"
    case outputExists = "output-exists"
    case baseMismatch = "base-mismatch"
    case nonFinite = "non-finite"
    case shapeMismatch = "shape-mismatch"
    // The file is damaged or breaks its format's rules.
    case truncated = "truncated"
    case malformed = "malformed"
    case digestMismatch = "digest-mismatch"
    case signatureMismatch = "signature-mismatch"
    case unknownFormat = "unknown-format"
    // The file is sound; this build cannot read it.
    case unsupportedVersion = "unsupported-version"
    case unsupportedFeature = "unsupported-feature"
    // The operating system said no.
    case notFound = "not-found"
    case inputOutput = "input-output"
    case cancelled = "cancelled"
    case outOfMemory = "out-of-memory"
    // A declared size is above a named limit.
    case limitExceeded = "limit-exceeded"

    public var family: Family {
      switch self {
      case .invalidArgument, .unknownName, .outputExists, .baseMismatch, .nonFinite, .shapeMismatch: .usage
      case .truncated, .malformed, .digestMismatch, .signatureMismatch, .unknownFormat: .format
      case .unsupportedVersion, .unsupportedFeature: .unsupported
      case .notFound, .inputOutput, .cancelled, .outOfMemory: .inputOutput
      case .limitExceeded: .limits
      }
    }
  }

  /// Who is at fault.
  public enum Family: Sendable {
    case usage
    case format
    case unsupported
    case inputOutput
    case limits
  }

  public let code: Code
  public let message: String
  /// Path of the file at fault, as the caller gave it.
  public var file: String?
  /// Byte of that file.
  public var offset: UInt64?
  public var expert: String?
  public var tensor: String?
  /// What the caller can do, if anything is known to help.
  package var remedy: Remedy?

  public init(
    _ code: Code, _ message: String, file: String? = nil, offset: UInt64? = nil,
    expert: String? = nil, tensor: String? = nil
  ) {
    self.code = code
    self.message = message
    self.file = file
    self.offset = offset
    self.expert = expert
    self.tensor = tensor
  }

  public static func == (left: Self, right: Self) -> Bool { left.code == right.code }
  public func hash(into hasher: inout Hasher) { hasher.combine(code) }

  /// The same error with a way out.
  package func with(_ remedy: Remedy) -> Self {
    var error = self
    error.remedy = remedy
    return error
  }

  /// The same error with whatever of the place was still unknown.
  public func at(
    file: String? = nil, offset: UInt64? = nil, expert: String? = nil, tensor: String? = nil
  ) -> Self {
    var error = self
    error.file = self.file ?? file
    error.offset = self.offset ?? offset
    error.expert = self.expert ?? expert
    error.tensor = self.tensor ?? tensor
    return error
  }
}

extension StorageError: CustomStringConvertible {
  public var description: String {
    var place: [String] = []
    if let file { place.append(file) }
    if let offset { place.append("byte \(offset)") }
    if let expert { place.append("expert '\(expert)'") }
    if let tensor { place.append("tensor '\(tensor)'") }
    return place.isEmpty ? message : "\(place.joined(separator: ", ")): \(message)"
  }
}

/// Runs `body`, adding to any error of it the parts of the place that the inner code could not know.
@inlinable
package func located<Result: ~Copyable>(
  file: String? = nil, expert: String? = nil, tensor: String? = nil,
  _ body: () throws(StorageError) -> Result
) throws(StorageError) -> Result {
  do { return try body() } catch {
    throw error.at(file: file, expert: expert, tensor: tensor)
  }
}
