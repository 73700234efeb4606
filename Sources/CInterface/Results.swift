import TMPackByteIO
import TMPackCHeader
import TMPackReading
import TMPackTensorKit

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Runs the body of a function of the interface: its error becomes a code, and fills what the caller gave for it.
func reporting(
  to error: UnsafeMutablePointer<tmpk_error>?, _ body: () throws(StorageError) -> Void
) -> tmpk_code {
  do throws(StorageError) {
    try body()
    return 0
  } catch let failure {
    error?.pointee = tmpk_error(failure)
    return failure.code.number
  }
}

extension tmpk_error {
  init(_ error: StorageError) {
    self.init(
      code: error.code.number, name: StaticTexts.text(error.code.rawValue), message: copied(error.message),
      text: copied(error.description), file: error.file.map(copied), expert: error.expert.map(copied),
      tensor: error.tensor.map(copied), offset: error.offset.map { Int64(clamping: $0) } ?? -1)
  }
}

extension StorageError.Code {
  /// Its number in the interface.
  var number: tmpk_code {
    let number =
      switch self {
      case .invalidArgument: TMPK_INVALID_ARGUMENT
      case .unknownName: TMPK_UNKNOWN_NAME
      case .outputExists: TMPK_OUTPUT_EXISTS
      case .baseMismatch: TMPK_BASE_MISMATCH
      case .nonFinite: TMPK_NON_FINITE
      case .shapeMismatch: TMPK_SHAPE_MISMATCH
      case .truncated: TMPK_TRUNCATED
      case .malformed: TMPK_MALFORMED
      case .digestMismatch: TMPK_DIGEST_MISMATCH
      case .signatureMismatch: TMPK_SIGNATURE_MISMATCH
      case .unknownFormat: TMPK_UNKNOWN_FORMAT
      case .unsupportedVersion: TMPK_UNSUPPORTED_VERSION
      case .unsupportedFeature: TMPK_UNSUPPORTED_FEATURE
      case .notFound: TMPK_NOT_FOUND
      case .inputOutput: TMPK_INPUT_OUTPUT
      case .cancelled: TMPK_CANCELLED
      case .outOfMemory: TMPK_OUT_OF_MEMORY
      case .limitExceeded: TMPK_LIMIT_EXCEEDED
      }
    return tmpk_code(number)
  }
}

/// Texts of a few kinds that last as long as the process.
enum StaticTexts {
  private static let texts = ForEver()

  private struct ForEver: @unchecked Sendable {
    let pointers: [String: UnsafePointer<CChar>]

    init() {
      let all = StorageError.Code.allCases.map(\.rawValue) + DType.allCases.map(\.rawValue) + [TMPackVersion.number]
      pointers = Dictionary(all.map { ($0, UnsafePointer(copied($0))) }, uniquingKeysWith: { first, _ in first })
    }
  }

  /// - Parameter text: a code, a dtype or the version.
  static func text(_ text: String) -> UnsafePointer<CChar> { texts.pointers[text]! }
}

/// A C string for the caller to free. A zero byte in the text, which no C string can have, becomes U+FFFD.
func copied(_ text: String) -> UnsafeMutablePointer<CChar> {
  let bytes = text.utf8.contains(0) ? Array(text.replacingZeros.utf8) : Array(text.utf8)
  let memory = UnsafeMutableRawPointer(allocated(bytes.count + 1))
  bytes.withUnsafeBytes { memory.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(memory), byteCount: $0.count) }
  memory.storeBytes(of: 0, toByteOffset: bytes.count, as: UInt8.self)
  return memory.bindMemory(to: CChar.self, capacity: bytes.count + 1)
}

/// Memory that `free` frees.
func allocated(_ count: Int) -> UnsafeMutableRawPointer {
  guard let memory = malloc(max(1, count)) else {
    // As everything that Swift allocates ends when there is no memory.
    fatalError("out of memory")
  }
  return memory
}

extension String {
  fileprivate var replacingZeros: String {
    String(String.UnicodeScalarView(unicodeScalars.map { $0 == "\0" ? "\u{FFFD}" : $0 }))
  }
}

// MARK: Arguments

/// The text of an argument that must be there.
func text(_ pointer: UnsafePointer<CChar>?, _ what: String) throws(StorageError) -> String {
  guard let pointer else { throw StorageError(.invalidArgument, "\(what) is NULL") }
  guard let text = String(validatingCString: pointer) else {
    throw StorageError(.invalidArgument, "\(what) is not UTF-8")
  }
  return text
}

/// An output parameter that must be there.
func required<Value>(
  _ pointer: UnsafeMutablePointer<Value>?, _ what: String
) throws(StorageError) -> UnsafeMutablePointer<Value> {
  guard let pointer else { throw StorageError(.invalidArgument, "\(what) is NULL") }
  return pointer
}

/// A list of so many elements; one of none may be NULL.
func list<Element>(
  _ pointer: UnsafePointer<Element>?, _ count: Int, _ what: String
) throws(StorageError) -> UnsafeBufferPointer<Element> {
  // SIZE_MAX comes as a negative number.
  guard count >= 0, count <= .max / max(1, MemoryLayout<Element>.stride), pointer != nil || count == 0 else {
    throw StorageError(.invalidArgument, "\(what) is NULL or has an impossible length")
  }
  return UnsafeBufferPointer(start: pointer, count: count)
}

/// Options whose first member says how many bytes of them the caller knows. Those it does not know are zeros.
///
/// - Parameter zeros: all bytes zero.
func understood<Options>(_ pointer: UnsafePointer<Options>?, zeros: Options) throws(StorageError) -> Options {
  guard let pointer else { return zeros }
  let raw = UnsafeRawPointer(pointer)
  let size = Int(raw.load(as: UInt32.self))
  guard size >= 8, size <= 4096 else {
    throw StorageError(.invalidArgument, "the options say that they have \(size) bytes")
  }
  let known = min(size, MemoryLayout<Options>.size)
  guard UnsafeRawBufferPointer(start: raw + known, count: size - known).allSatisfy({ $0 == 0 }) else {
    throw StorageError(.invalidArgument, "there are options that this version of the library does not know")
  }
  var options = zeros
  withUnsafeMutableBytes(of: &options) { $0.copyMemory(from: UnsafeRawBufferPointer(start: raw, count: known)) }
  return options
}

@c @implementation
public func tmpk_free(_ memory: UnsafeMutableRawPointer?) { free(memory) }

@c @implementation
public func tmpk_error_clear(_ error: UnsafeMutablePointer<tmpk_error>?) {
  guard let error else { return }
  for text in [
    error.pointee.message, error.pointee.text, error.pointee.file, error.pointee.expert, error.pointee.tensor,
  ] {
    free(text)
  }
  error.pointee = tmpk_error()
}

@c @implementation
public func tmpk_abi_version() -> UInt32 { UInt32(TMPK_ABI_VERSION) }

@c @implementation
public func tmpk_version() -> UnsafePointer<CChar>! { StaticTexts.text(TMPackVersion.number) }
