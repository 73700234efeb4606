import TMPackByteIO
import TMPackDigests
import TMPackJSON
import TMPackTensorKit

/// What a mix was made of, and what came out: enough for somebody else to make it again and compare.
///
/// `Spec/json.md` describes it. It is not signed: sign the file, or its digest, if you must know the author.
package struct MixReceipt: Sendable, Equatable {
  /// How weights came about, where a router gave them.
  package struct Routed: Sendable, Equatable {
    /// Of the router's section.
    package let router: ContentDigest
    /// Of the embeddings, as `Embeddings.digest` has it.
    package let inputs: ContentDigest
    package let rows: Int
    package let dimension: Int
    /// What was used, not what was asked for.
    package let temperature: Double
    package let top: Int?
    package let threshold: Double
    package let fallbackEntropy: Double?
    /// What the router found.
    package let entropy: Double
    package let fellBack: Bool

    /// - Parameter routing: of all rows of `inputs` together.
    package init(_ router: Router, _ inputs: Embeddings, _ options: RoutingOptions, _ routing: Routing) {
      self.router = router.digest
      self.inputs = inputs.digest
      rows = inputs.rows
      dimension = inputs.dimension
      temperature = router.temperature(options)
      top = options.top
      threshold = options.threshold
      fallbackEntropy = router.fallbackEntropy(options)
      entropy = routing.entropy
      fellBack = routing.fellBack
    }
  }

  /// One tensor that came out.
  package struct Tensor: Sendable, Equatable {
    package let info: TensorInfo
    package let digest: ContentDigest
  }

  /// The version of its form.
  package static let form = "tmpack-mix-1"

  package let tool: String
  /// The root digest of the archive.
  package let archive: ContentDigest
  package let weights: RouterWeights
  /// Whether an expert was rebuilt to the bit (TMP-7-14).
  package let isExact: Bool
  /// What float tensors were converted to; nil left each its own.
  package let dtype: FloatFormat?
  /// Which tensors were asked for, as patterns; none asked for all.
  package let patterns: [String]
  package let routed: Routed?
  /// Sorted by name.
  package let tensors: [Tensor]

  /// - Parameter output: the tensors that came out; those that were not read yet are read now.
  package init(
    of archive: Archive, _ weights: RouterWeights, isExact: Bool = false, dtype: FloatFormat? = nil,
    patterns: [String] = [], routed: Routed? = nil, output: DigestedSource
  ) throws(StorageError) {
    tool = TMPackVersion.tool
    self.archive = archive.rootDigest
    self.weights = weights
    self.isExact = isExact
    self.dtype = dtype
    self.patterns = patterns
    self.routed = routed
    tensors = try output.tensors.map { info throws(StorageError) in
      Tensor(info: info, digest: try output.digest(of: info))
    }
  }

  /// Reads a receipt. See `init(parsing:)`.
  package init(contentsOf path: String) throws(StorageError) {
    let file = try ReadableFile.ofText(path, atMost: Int(Limits.receiptBytes), "the size of a receipt")
    try Limits.check(file.size, atMost: Limits.receiptBytes, "the size of a receipt")
    self = try located(file: path) { () throws(StorageError) in
      try MixReceipt(parsing: file.bytes(at: 0, count: Int(file.size)))
    }
  }

  /// As it is written: indented.
  package var text: [UInt8] { Array((json.prettyText + "\n").utf8) }

  package func write(to path: String, replacing: Bool = false) throws(StorageError) {
    let file = try AtomicFile(path, replacing: replacing)
    try file.write(text)
    try file.commit()
  }

  // MARK: As JSON

  /// Names all that the receipt says: the digest of the canonical text of its other members.
  package var digest: ContentDigest { ContentDigest(of: JSONValue.object(content).canonicalText) }

  /// As it is written.
  package var json: JSONValue {
    var object = content
    object["digest"] = .string(digest.hexadecimal)
    return .object(object)
  }

  private var content: JSONObject {
    var object: JSONObject = [
      "receipt": .string(Self.form), "tool": .string(tool), "archive_root": .string(archive.hexadecimal),
      "weights": .array(
        weights.entries.map { ["name": .string($0.name), "weight": .string(String(describing: $0.weight))] }),
      "exact": .bool(isExact), "patterns": .array(patterns.map { .string($0) }),
      "tensors": .array(
        tensors.map {
          [
            "name": .string($0.info.name), "dtype": .string($0.info.dtype.rawValue),
            "shape": .array($0.info.shape.dimensions.map { JSONValue($0) }),
            "digest": .string($0.digest.hexadecimal),
          ]
        }),
    ]
    object["dtype"] = dtype.map { .string($0.dtype.rawValue) }
    object["router"] = routed.map(\.json)
    return object
  }

  /// Parses a receipt, and checks that it is what its digest names.
  ///
  /// - Throws: `malformed`; `unsupportedVersion` for one of another form; `digestMismatch`.
  package init(parsing text: [UInt8]) throws(StorageError) {
    let what = "the receipt"
    var object = try text.withBytes { raw throws(StorageError) in
      // The limit of the file's size bounds the number of values.
      try JSONValue(parsing: raw, maximumValues: .max)
    }.asObject(what)
    let form = try object.required("receipt", of: what).asString("the form")
    guard form == Self.form else {
      throw StorageError(.unsupportedVersion, "is a receipt of the form \"\(form)\"; this build reads \"\(Self.form)\"")
    }
    let claimed = try object.required("digest", of: what).asDigest("the digest of the receipt")
    object["digest"] = nil
    try object.allowOnly(
      ["receipt", "tool", "archive_root", "weights", "exact", "dtype", "patterns", "router", "tensors"], in: what)
    tool = try object.required("tool", of: what).asString("the tool")
    archive = try object.required("archive_root", of: what).asDigest("the archive's root")
    weights = try RouterWeights(
      try object.required("weights", of: what).asArray("the weights").map { value throws(StorageError) in
        let weight = try value.asObject("a weight")
        try weight.allowOnly(["name", "weight"], in: "a weight")
        let number = try weight.required("weight", of: "a weight").asString("a weight")
        guard let value = Float(number) else { throw StorageError(.malformed, "the weight \"\(number)\" is no number") }
        return (try weight.required("name", of: "a weight").asString("an expert's name"), value)
      })
    isExact = try object.required("exact", of: what).asBool("exact")
    dtype = try object["dtype"].map { value throws(StorageError) in
      let name = try value.asString("the dtype")
      guard let format = DType(rawValue: name)?.floatFormat else {
        throw StorageError(.malformed, "the dtype \"\(name)\" is no float")
      }
      return format
    }
    patterns = try object.required("patterns", of: what).asArray("the patterns").map { value throws(StorageError) in
      try value.asString("a pattern")
    }
    routed = try object["router"].map { value throws(StorageError) in try Routed(json: value) }
    tensors = try object.required("tensors", of: what).asArray("the tensors").map { value throws(StorageError) in
      try Tensor(json: value)
    }
    if let top = routed?.top, top < 1 { throw StorageError(.malformed, "the receipt keeps no expert") }
    let actual = digest
    guard actual == claimed else {
      throw StorageError(
        .digestMismatch, "is not the receipt that its digest names: expected \(claimed), found \(actual)")
    }
  }
}

extension MixReceipt.Routed {
  fileprivate var json: JSONValue {
    var object: JSONObject = [
      "digest": .string(router.hexadecimal), "inputs": .string(inputs.hexadecimal), "rows": JSONValue(rows),
      "dimension": JSONValue(dimension), "temperature": .string("\(temperature)"), "threshold": .string("\(threshold)"),
      "entropy": .string("\(entropy)"), "fell_back": .bool(fellBack),
    ]
    object["top"] = top.map { JSONValue($0) }
    object["fallback_entropy"] = fallbackEntropy.map { .string("\($0)") }
    return .object(object)
  }

  fileprivate init(json: JSONValue) throws(StorageError) {
    let what = "the receipt's router"
    let object = try json.asObject(what)
    try object.allowOnly(
      [
        "digest", "inputs", "rows", "dimension", "temperature", "threshold", "entropy", "fell_back", "top",
        "fallback_entropy",
      ], in: what)
    func number(_ name: String) throws(StorageError) -> Double {
      let text = try object.required(name, of: what).asString(name)
      guard let value = Double(text), value.isFinite else {
        throw StorageError(.malformed, "\(name) is \"\(text)\", and no number")
      }
      return value
    }
    router = try object.required("digest", of: what).asDigest("the router's digest")
    inputs = try object.required("inputs", of: what).asDigest("the digest of the inputs")
    rows = try object.required("rows", of: what).asReceiptCount("the rows")
    dimension = try object.required("dimension", of: what).asReceiptCount("the dimension")
    temperature = try number("temperature")
    threshold = try number("threshold")
    entropy = try number("entropy")
    fellBack = try object.required("fell_back", of: what).asBool("fell_back")
    top = try object["top"]?.asReceiptCount("top")
    fallbackEntropy = object["fallback_entropy"] == nil ? nil : try number("fallback_entropy")
  }
}

extension MixReceipt.Tensor {
  fileprivate init(json: JSONValue) throws(StorageError) {
    let what = "a tensor of the receipt"
    let object = try json.asObject(what)
    try object.allowOnly(["name", "dtype", "shape", "digest"], in: what)
    let name = try object.required("dtype", of: what).asString("a dtype")
    guard let dtype = DType(rawValue: name) else { throw StorageError(.malformed, "the dtype \"\(name)\" is unknown") }
    let dimensions = try object.required("shape", of: what).asArray("a shape").map { value throws(StorageError) in
      try value.asReceiptCount("a dimension")
    }
    info = try TensorInfo(
      name: try object.required("name", of: what).asString("a tensor's name"), dtype: dtype,
      shape: try Shape(dimensions))
    digest = try object.required("digest", of: what).asDigest("a tensor's digest")
  }
}

extension JSONValue {
  /// What canonical JSON can write.
  fileprivate func asReceiptCount(_ what: @autoclosure () -> String) throws(StorageError) -> Int {
    let count = try asCount(what())
    guard count < 1 << 53 else { throw StorageError(.malformed, "\(what()) is beyond 2⁵³ − 1") }
    return count
  }

  fileprivate func asBool(_ what: @autoclosure () -> String) throws(StorageError) -> Bool {
    guard case .bool(let value) = self else { throw StorageError(.malformed, "\(what()) must be true or false") }
    return value
  }
}
