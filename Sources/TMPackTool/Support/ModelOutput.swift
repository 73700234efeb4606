import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackModels
import TMPackReading
import TMPackTensorKit

/// The model that a command makes, from the checks before the work to the last line about it.
struct ModelOutput {
  /// As it was given; `-` for standard output.
  let path: String
  var destination: CheckpointDestination

  /// - Throws: what `CheckpointDestination` throws; `invalidArgument` where standard output is a terminal.
  init(
    _ path: String, format: WritableFormat? = nil, replacing: Bool, maxShardSize: ByteSize,
    quantization: GGUFQuantization? = nil
  ) throws(StorageError) {
    self.path = path
    if path == StandardOutput.name {
      destination = try CheckpointDestination(
        StandardOutput.place(for: format ?? .safetensors), format: format, replacing: true, quantization: quantization)
      try StandardOutput.take()
    } else {
      destination = try CheckpointDestination(
        path, format: format, replacing: replacing, maxShardBytes: maxShardSize.bytes, quantization: quantization)
    }
  }

  var isFolder: Bool { destination.layout == .folder }

  /// A model as it is to be written.
  struct Content {
    /// As the format wants it, see `FormattedSource`.
    let source: any TensorSource
    /// Those that go with it.
    let files: [CarriedContent]
    let changes: ConfigurationChanges
  }

  /// A model that was written.
  struct Written {
    let source: any TensorSource
    /// Bytes of all files with tensors.
    let bytes: UInt64
    let files: [CarriedContent]
  }

  /// Writes a model, up to the point where it appears.
  func stage(
    _ content: Content, as stage: String, threads: Int, _ show: (WorkProgress) -> Void
  ) throws(StorageError) -> (staged: StagedCheckpoint, written: Written) {
    let source = content.source
    let files = isFolder ? content.changes.applied(to: content.files) : []
    let staged = try destination.stage(source, carriedFiles: files, threads: threads) {
      show(WorkProgress(stage: stage, done: $0, total: $1))
    }
    return (staged, Written(source: source, bytes: staged.bytes, files: files))
  }

  /// Lets what was staged appear, with others.
  ///
  /// - Parameter inputs: if one of them has changed meanwhile, nothing appears.
  func finish(
    _ staged: StagedCheckpoint, with others: [any StagedOutput] = [], inputs: [Checkpoint] = []
  ) throws(StorageError) {
    for input in inputs { try input.checkUnchanged() }
    guard path == StandardOutput.name else { return try commitTogether([staged.output] + others) }
    // What is staged is dropped then: it has no place but the pipe.
    try withExtendedLifetime(staged) { () throws(StorageError) in try StandardOutput.send(staged.readablePath) }
  }

  func write(
    _ content: Content, as stage: String, inputs: [Checkpoint], threads: Int, _ show: (WorkProgress) -> Void
  ) throws(StorageError) -> Written {
    let (staged, written) = try self.stage(content, as: stage, threads: threads, show)
    try finish(staged, inputs: inputs)
    return written
  }

  /// What is said of every model that was written.
  ///
  /// - Parameters:
  ///   - members: what a command's JSON has besides.
  ///   - remark: what its last line has, behind the size.
  func report(
    _ written: Written, notes: [String], overflows: Int, members: JSONObject = [:], remark: String = "",
    _ reporting: OutputOptions
  ) {
    if reporting.json {
      var object = json(written, notes: notes, overflows: overflows)
      for (name, value) in members.members { object[name] = value }
      return Console.result(.object(object))
    }
    for note in notes { Console.talk("note: \(note)") }
    let others = written.files.isEmpty ? "" : ", \(counted(written.files.count, "other file"))"
    Console.result(
      "\(path): \(counted(written.source.tensors.count, "tensor")), \(ByteSize.text(written.bytes))\(remark)\(others)")
  }

  func json(_ written: Written, notes: [String], overflows: Int) -> JSONObject {
    [
      "output": .string(path), "format": .string(destination.format.rawValue),
      "tensors": JSONValue(written.source.tensors.count), "bytes": JSONValue(written.bytes),
      "overflows": JSONValue(overflows), "files": .array(written.files.map { .string($0.name.text) }),
      "notes": .array(notes.map { .string($0) }),
    ]
  }

  /// Whether such a path is named as one file.
  static func isFile(_ path: String) throws(StorageError) -> Bool { try CheckpointDestination(path).layout == .file }
}
