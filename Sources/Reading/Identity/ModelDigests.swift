import TMPackByteIO
import TMPackCheckpoints
import TMPackDigests
import TMPackJSON
import TMPackParallel
import TMPackTensorKit

/// What a checkpoint is, to the bit: a digest of every tensor and of every file beside them (TMP-13-1).
///
/// Tensors are digested as numbers, by name, dtype and shape: how they are spread over files, and in what format, makes no
/// difference. So a converted or sharded copy proves equal to the original.
package struct ModelDigests: Sendable {
  package static let format = "tmpack-digests"
  private static let version = 1
  private static let mostBytes = 256 << 20
  private static let mostValues = 20_000_000

  package struct Tensor: Sendable, Hashable {
    package let name: String
    package let dtype: String
    package let shape: [Int]
    package let digest: ContentDigest
  }

  package struct File: Sendable, Hashable {
    package let name: String
    package let bytes: UInt64
    package let digest: ContentDigest
  }

  /// Sorted by the bytes of their names.
  package let tensors: [Tensor]
  /// The files that travel with them: `config.json`, a tokenizer. None beside a single file.
  package let files: [File]
  /// The files that hold the tensors, as they were: another container has others. None unless asked for.
  package let weightFiles: [File]
  /// What looks wrong with tensors, by name; empty unless asked for.
  package private(set) var checks: [(name: String, check: TensorCheck)] = []

  // MARK: Making

  /// Reads every tensor and every file once.
  ///
  /// - Parameters:
  ///   - includingWeightFiles: whether to digest the files that hold the tensors, too: reads those once more.
  ///   - checkingNumbers: whether to look for NaNs, infinities and tensors of zeros, too.
  ///   - progress: called with the bytes done and the bytes to do.
  /// - Complexity: memory for as many tensors as there are threads, of those that do not lie in a file as they are.
  package init(
    of checkpoint: Checkpoint, includingWeightFiles: Bool = true, checkingNumbers: Bool = false,
    pipeline: OrderedPipeline = .automatic,
    progress: (UInt64, UInt64) -> Void = { _, _ in }
  ) throws(StorageError) {
    let source = checkpoint.source
    let infos = source.tensors
    // Not mapped: the pages of a whole file would count as this process's memory.
    let weights = try (includingWeightFiles ? checkpoint.weightFiles : []).map { path throws(StorageError) in
      try ReadableFile(path, mode: .read)
    }
    let total = source.byteCount + weights.reduce(0) { $0 + $1.size }
    var done: UInt64 = 0
    func advance(_ bytes: UInt64) {
      done += bytes
      progress(done, total)
    }
    let digested = try source.digests(checkingNumbers: checkingNumbers, pipeline: pipeline) { advance($0) }
    tensors = zip(infos, digested.digests).map { info, digest in
      Tensor(name: info.name, dtype: info.dtype.rawValue, shape: info.shape.dimensions, digest: digest)
    }
    checks = digested.checks
    files = try checkpoint.carriedFiles.map { file throws(StorageError) in
      let bytes = try file.content.bytes()
      return File(name: file.name.text, bytes: UInt64(bytes.count), digest: ContentDigest(of: bytes))
    }
    var weightFiles: [File] = []
    try pipeline.digest(weights.map { FileRange($0) }) { index, digest in
      let file = weights[index]
      weightFiles.append(File(name: FileTree.lastComponent(file.path), bytes: file.size, digest: digest))
      advance(file.size)
    }
    self.weightFiles = weightFiles
  }

  // MARK: Text

  /// Names all tensors (TMP-13-2): what a signature of a checkpoint is of.
  package var tensorsDigest: ContentDigest { ContentDigest(of: JSONValue.array(tensors.map(\.json)).canonicalText) }

  /// One line of canonical JSON (RFC 8785).
  package var text: [UInt8] {
    let json: JSONValue = [
      "files": .array(files.map(\.json)), "format": .string(Self.format), "tensors": .array(tensors.map(\.json)),
      "tensors_digest": .string(tensorsDigest.hexadecimal), "version": JSONValue(Self.version),
      "weight_files": .array(weightFiles.map(\.json)),
    ]
    return json.canonicalText + [UInt8(ascii: "\n")]
  }

  /// - Throws: `unknownFormat` for another file, `unsupportedVersion`, `malformed`, `digestMismatch` for one that was edited,
  ///   `limitExceeded`; what the system says.
  package init(contentsOf path: String) throws(StorageError) {
    self = try located(file: path) { () throws(StorageError) in
      let file = try ReadableFile.ofText(path, atMost: Self.mostBytes, "the size of a file of digests")
      try Limits.check(file.size, atMost: Self.mostBytes, "the size of a file of digests")
      let text = try file.bytes(at: 0, count: Int(file.size))
      let value: JSONValue
      do throws(StorageError) {
        value = try text.withBytes { raw throws(StorageError) in
          try JSONValue(parsing: raw, maximumValues: Self.mostValues)
        }
      } catch {
        throw error.code == .limitExceeded ? error : Self.otherFile
      }
      return try ModelDigests(json: value)
    }
  }

  private static let otherFile = StorageError(.unknownFormat, "is no file of digests of tmpack digest")

  private init(json: JSONValue) throws(StorageError) {
    guard case .object(let object) = json, object["format"] == .string(Self.format) else { throw Self.otherFile }
    let version = try object.required("version", of: "digests").asCount("the version")
    guard version == Self.version else {
      throw StorageError(.unsupportedVersion, "has digests of version \(version); this build reads \(Self.version)")
    }
    func list<Item>(
      _ name: String, _ make: (JSONObject) throws(StorageError) -> Item
    ) throws(StorageError) -> [Item] {
      try object.required(name, of: "digests").asArray(name).map { json throws(StorageError) in
        try make(try json.asObject(name))
      }
    }
    tensors = try list("tensors") { json throws(StorageError) in try Tensor(json: json) }
    files = try list("files") { json throws(StorageError) in try File(json: json) }
    weightFiles = try list("weight_files") { json throws(StorageError) in try File(json: json) }
    for (one, next) in zip(tensors, tensors.dropFirst()) where !one.name.precedesInBytes(next.name) {
      throw StorageError(.malformed, "the tensors are not sorted by name, each once", tensor: next.name)
    }
    let stated = try object.required("tensors_digest", of: "digests").asString("the digest of all tensors")
    guard stated == tensorsDigest.hexadecimal else {
      throw StorageError(.digestMismatch, "the digest of all tensors is not that of the tensors listed: it was edited")
    }
  }

  // MARK: Comparing

  /// What of this checkpoint is not as `expected` has it: tensors first, then the files beside them.
  ///
  /// - Parameters:
  ///   - file: names the file that holds a tensor.
  ///   - withFiles: whether to compare the files beside them: not where one of the two is a single file, which has none.
  package func faults(
    against expected: ModelDigests, withFiles: Bool, file: (_ tensor: String) -> String
  ) -> [StorageError] {
    var faults: [StorageError] = []
    Self.merge(tensors, expected.tensors, name: \.name) { own, other in
      switch (own, other) {
      case (let own?, nil):
        faults.append(
          StorageError(.malformed, "is not among the tensors expected", file: file(own.name), tensor: own.name))
      case (nil, let other?):
        faults.append(StorageError(.malformed, "is missing", tensor: other.name))
      case (let own?, let other?):
        guard own != other else { return }
        let message =
          own.dtype != other.dtype || own.shape != other.shape
          ? "is \(own.dtype) \(own.shape), not \(other.dtype) \(other.shape)"
          : "its digest is \(own.digest), not \(other.digest)"
        faults.append(StorageError(.digestMismatch, message, file: file(own.name), tensor: own.name))
      case (nil, nil): break
      }
    }
    guard withFiles else { return faults }
    Self.merge(files, expected.files, name: \.name) { own, other in
      switch (own, other) {
      case (let own?, nil): faults.append(StorageError(.malformed, "is not among the files expected", file: own.name))
      case (nil, let other?): faults.append(StorageError(.malformed, "is missing", file: other.name))
      case (let own?, let other?):
        guard own != other else { return }
        faults.append(
          StorageError(.digestMismatch, "its digest is \(own.digest), not \(other.digest)", file: own.name))
      case (nil, nil): break
      }
    }
    return faults
  }

  /// Pairs items of one name, in the order of the names.
  private static func merge<Item>(
    _ left: [Item], _ right: [Item], name: (Item) -> String, _ body: (Item?, Item?) -> Void
  ) {
    var (i, j) = (0, 0)
    let (left, right) = (
      left.sorted { name($0).precedesInBytes(name($1)) }, right.sorted { name($0).precedesInBytes(name($1)) }
    )
    while i < left.count || j < right.count {
      if j == right.count || i < left.count && name(left[i]).precedesInBytes(name(right[j])) {
        body(left[i], nil)
        i += 1
      } else if i == left.count || name(right[j]).precedesInBytes(name(left[i])) {
        body(nil, right[j])
        j += 1
      } else {
        body(left[i], right[j])
        i += 1
        j += 1
      }
    }
  }
}

extension ModelDigests.Tensor {
  fileprivate var json: JSONValue {
    [
      "dtype": .string(dtype), "name": .string(name), "sha256": .string(digest.hexadecimal),
      "shape": .array(shape.map { JSONValue($0) }),
    ]
  }

  fileprivate init(json: JSONObject) throws(StorageError) {
    try json.allowOnly(["dtype", "name", "sha256", "shape"], in: "a tensor")
    name = try json.required("name", of: "a tensor").asString("a name")
    dtype = try json.required("dtype", of: "a tensor").asString("a dtype")
    shape = try json.required("shape", of: "a tensor").asArray("a shape").map { value throws(StorageError) in
      try value.asCount("a dimension")
    }
    digest = try json.digest(of: "a tensor")
  }

  package static func == (left: Self, right: Self) -> Bool {
    left.name.hasSameBytes(as: right.name) && left.dtype == right.dtype && left.shape == right.shape
      && left.digest == right.digest
  }
}

extension ModelDigests.File {
  fileprivate var json: JSONValue {
    ["bytes": JSONValue(bytes), "name": .string(name), "sha256": .string(digest.hexadecimal)]
  }

  fileprivate init(json: JSONObject) throws(StorageError) {
    try json.allowOnly(["bytes", "name", "sha256"], in: "a file")
    name = try json.required("name", of: "a file").asString("a name")
    bytes = UInt64(try json.required("bytes", of: "a file").asCount("a size"))
    digest = try json.digest(of: "a file")
  }
}

extension JSONObject {
  fileprivate func digest(of what: String) throws(StorageError) -> ContentDigest {
    guard let digest = ContentDigest(hexadecimal: try required("sha256", of: what).asString("a digest")) else {
      throw StorageError(.malformed, "\(what) has no SHA-256 digest of 64 hexadecimal digits")
    }
    return digest
  }
}
