import Synchronization
import TMPackArchiveFormat
import TMPackByteIO
import TMPackCHeader
import TMPackJSON
import TMPackCheckpoints
import TMPackParallel
import TMPackReading

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// An archive that is open for a caller.
final class OpenArchive: Handled, @unchecked Sendable {
  static let kind = "archive"
  let visits = Visits()
  let archive: Archive
  let reconstructor: Reconstructor
  /// Of the experts, for the caller to look at.
  let names: [UnsafeMutablePointer<CChar>]
  private let knownRouter = Mutex<Router?>(nil)

  init(_ archive: Archive, keptBytes: UInt64) throws(StorageError) {
    self.archive = archive
    reconstructor = try Reconstructor(archive, memoryLimit: Int(clamping: keptBytes))
    names = archive.experts.map { copied($0.name) }
  }

  deinit { for name in names { free(name) } }

  /// Read when it is first asked for.
  func router() throws(StorageError) -> Router {
    try knownRouter.withLock { known throws(StorageError) in
      if let known { return known }
      let read = try Router(archive)
      known = read
      return read
    }
  }

  /// A detached archive that has no base can be looked at, and its tensors that are experts' own can be read.
  convenience init(_ file: ReadableFile, _ options: tmpk_open_options) throws(StorageError) {
    let base = try options.base.map { pointer throws(StorageError) in
      try Checkpoint.open(try text(pointer, "the base"), mode: .read).source
    }
    let archive = try Archive(file, sharedModel: base)
    guard archive.isDetached || base == nil else {
      throw StorageError(
        .invalidArgument, "holds its shared model itself; a base is for detached archives", file: file.path)
    }
    try self.init(archive, keptBytes: options.kept_bytes)
  }
}

@c @implementation
public func tmpk_open(
  _ path: UnsafePointer<CChar>?, _ options: UnsafePointer<tmpk_open_options>?,
  _ archive: UnsafeMutablePointer<OpaquePointer?>?, _ error: UnsafeMutablePointer<tmpk_error>?
) -> tmpk_code {
  reporting(to: error) { () throws(StorageError) in
    let archive = try required(archive, "archive")
    let options = try understood(options, zeros: tmpk_open_options())
    let file = try ReadableFile(try text(path, "the path"), mode: .read)
    archive.pointee = Handles.add(try OpenArchive(file, options))
  }
}

/// The callbacks of a source. The context is the caller's to make safe for several threads.
private final class Callbacks: @unchecked Sendable {
  private let source: tmpk_source
  /// Whether the source is ours to release.
  var isTaken = false

  init(_ source: tmpk_source) { self.source = source }

  deinit { if isTaken { source.release?(source.context) } }

  func read(at offset: UInt64, into destination: UnsafeMutableRawBufferPointer) -> Bool {
    source.read(source.context, offset, destination.baseAddress, UInt64(destination.count)) == 0
  }
}

@c @implementation
public func tmpk_open_source(
  _ source: UnsafePointer<tmpk_source>?, _ options: UnsafePointer<tmpk_open_options>?,
  _ archive: UnsafeMutablePointer<OpaquePointer?>?, _ error: UnsafeMutablePointer<tmpk_error>?
) -> tmpk_code {
  reporting(to: error) { () throws(StorageError) in
    let archive = try required(archive, "archive")
    let options = try understood(options, zeros: tmpk_open_options())
    guard source != nil else { throw StorageError(.invalidArgument, "the source is NULL") }
    let source = try understood(source, zeros: tmpk_source())
    guard source.read != nil else { throw StorageError(.invalidArgument, "the source has no callback to read with") }
    let label = try text(source.label, "the label of the source")
    let callbacks = Callbacks(source)
    let file = ReadableFile(label, size: source.byte_count) { offset, destination throws(StorageError) in
      guard callbacks.read(at: offset, into: destination) else {
        throw StorageError(
          .inputOutput, "the source does not give \(destination.count) bytes", file: label, offset: offset)
      }
    }
    let opened = try OpenArchive(file, options)
    callbacks.isTaken = true
    archive.pointee = Handles.add(opened)
  }
}

@c @implementation
public func tmpk_close(_ archive: OpaquePointer?) { _ = Handles.remove(archive) }

@c @implementation
public func tmpk_expert_count(
  _ archive: OpaquePointer?, _ count: UnsafeMutablePointer<Int>?, _ error: UnsafeMutablePointer<tmpk_error>?
) -> tmpk_code {
  reporting(to: error) { () throws(StorageError) in
    let count = try required(count, "count")
    count.pointee = try Handles.with(archive, OpenArchive.self) { $0.archive.experts.count }
  }
}

@c @implementation
public func tmpk_expert_at(
  _ archive: OpaquePointer?, _ index: Int, _ expert: UnsafeMutablePointer<tmpk_expert>?,
  _ error: UnsafeMutablePointer<tmpk_error>?
) -> tmpk_code {
  reporting(to: error) { () throws(StorageError) in
    let expert = try required(expert, "expert")
    try Handles.with(archive, OpenArchive.self) { opened throws(StorageError) in
      let experts = opened.archive.experts
      guard experts.indices.contains(index) else {
        throw StorageError(.invalidArgument, "there are \(experts.count) experts", file: opened.archive.path)
      }
      let summary = experts[index].summary
      expert.pointee = tmpk_expert(
        name: opened.names[index], byte_count: summary.bytes, tensor_count: UInt64(clamping: summary.tensors),
        parameter_count: UInt64(clamping: summary.parameters), error: summary.error?.value ?? -1)
    }
  }
}

@c @implementation
public func tmpk_describe(
  _ archive: OpaquePointer?, _ flags: UInt32, _ json: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?,
  _ error: UnsafeMutablePointer<tmpk_error>?
) -> tmpk_code {
  reporting(to: error) { () throws(StorageError) in
    let json = try required(json, "json")
    guard flags & ~UInt32(TMPK_LIST_TENSORS) == 0 else {
      throw StorageError(.invalidArgument, "there are unknown flags")
    }
    json.pointee = try Handles.with(archive, OpenArchive.self) { opened throws(StorageError) in
      let inspection = ArchiveInspection(opened.archive, listsTensors: flags & UInt32(TMPK_LIST_TENSORS) != 0)
      return copied(JSONValue.object(try inspection.json()).compactText)
    }
  }
}

@c @implementation
public func tmpk_verify(
  _ archive: OpaquePointer?, _ level: Int32, _ cancel: UnsafePointer<Int32>?,
  _ json: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?, _ error: UnsafeMutablePointer<tmpk_error>?
) -> tmpk_code {
  reporting(to: error) { () throws(StorageError) in
    let json = try required(json, "json")
    guard Verification.Level.allCases.indices.contains(Int(level)) else {
      throw StorageError(.invalidArgument, "there is no level \(level)")
    }
    json.pointee = try Handles.with(archive, OpenArchive.self) { opened throws(StorageError) in
      let pipeline = OrderedPipeline.automatic.cancelled(by: Cancellation(cancel))
      let level = Verification.Level.allCases[Int(level)]
      let report = try Verification(opened.archive, pipeline: pipeline).run(level)
      return copied(JSONValue.object(report.json(opened.archive, level)).compactText)
    }
  }
}
