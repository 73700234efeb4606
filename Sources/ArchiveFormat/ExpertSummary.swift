import TMPackByteIO
import TMPackJSON

/// What an expert's section holds, known without reading it (TMP-4-10).
package struct ExpertSummary: Sendable, Hashable {
  package let bytes: UInt64
  /// Stored bytes of the frames that make a lossy expert exact (TMP-6-17), which are among `bytes`; nil when it has none.
  package let correctionBytes: UInt64?
  package let factors: [String: Int]
  package let tensors: Int
  package let parameters: UInt64
  package let error: Measure?
  package let worstError: Measure?
  package let worstTensor: String?
}

extension ExpertSummary {
  /// TMP-4-10
  /// - Parameter bytes: what no earlier section has stored.
  init(of section: Section<ExpertManifest>, shared: SharedManifest, bytes: UInt64) {
    let manifest = section.manifest
    self.bytes = bytes
    correctionBytes = section.correctionBytes
    var factors: [String: Int] = [:]
    var parameters: UInt64 = 0
    var newTensors = 0
    var squaredNorm = 0.0
    var squaredError = 0.0
    var worst: (error: Measure, name: String)?
    for entry in manifest.tensors {
      factors[entry.factor.kind.rawValue, default: 0] += 1
      let base = shared.info(named: entry.name)
      if base == nil { newTensors += 1 }
      if let own = entry.factor.own {
        // Wrapping: a hostile manifest may declare any sizes; the sum is then compared with what it says.
        parameters &+= UInt64(own.shape.elementCount)
        parameters &-= UInt64(base?.shape.elementCount ?? 0)
      }
      if entry.extra != nil, let base {
        parameters &+= UInt64(entry.info(against: base).shape.elementCount - base.shape.elementCount)
      }
      if let measures = entry.measures {
        let norm = measures.norm.value
        squaredNorm += norm * norm
        squaredError += norm * norm * measures.error.value * measures.error.value
        if worst.map({ measures.error.value > $0.error.value }) ?? true { worst = (measures.error, entry.name) }
      }
    }
    for info in shared.infos { parameters &+= UInt64(info.shape.elementCount) }
    for name in manifest.absent { parameters &-= UInt64(shared.info(named: name)?.shape.elementCount ?? 0) }
    self.factors = factors
    self.parameters = parameters
    tensors = shared.infos.count - manifest.absent.count + newTensors
    let total = squaredNorm > 0 ? (squaredError / squaredNorm).squareRoot() : 0
    error = worst == nil ? nil : Measure(total.isFinite ? total : 0)
    worstError = worst?.error
    worstTensor = worst?.name
  }
}

extension ExpertSummary {
  /// The summary of the same section where it stores so many bytes that no earlier one has stored.
  init(_ other: ExpertSummary, bytes: UInt64) {
    self.bytes = bytes
    correctionBytes = other.correctionBytes
    factors = other.factors
    tensors = other.tensors
    parameters = other.parameters
    error = other.error
    worstError = other.worstError
    worstTensor = other.worstTensor
  }

  init(json: JSONValue) throws(StorageError) {
    let object = try json.asObject("the summary")
    try object.allowOnly(
      ["bytes", "correction_bytes", "error", "factors", "parameters", "tensors", "worst_error", "worst_tensor"],
      in: "the summary")
    bytes = UInt64(try object.required("bytes", of: "the summary").asCount("bytes"))
    correctionBytes = try object["correction_bytes"].map { value throws(StorageError) in
      UInt64(try value.asCount("correction_bytes"))
    }
    parameters = UInt64(try object.required("parameters", of: "the summary").asCount("parameters"))
    tensors = try object.required("tensors", of: "the summary").asCount("tensors")
    var factors: [String: Int] = [:]
    for (name, value) in try object.required("factors", of: "the summary").asObject("factors").members {
      guard StoredFactor.Kind(rawValue: name) != nil else {
        throw StorageError(.malformed, "the summary counts the unknown factor \"\(name)\"")
      }
      factors[name] = try value.asCount("factors")
    }
    self.factors = factors
    error = try object["error"].map { value throws(StorageError) in try Measure(json: value, "the error") }
    worstError = try object["worst_error"].map { value throws(StorageError) in
      try Measure(json: value, "the worst error")
    }
    worstTensor = try object["worst_tensor"]?.asString("the worst tensor")
    guard (error == nil) == (worstError == nil), (error == nil) == (worstTensor == nil) else {
      throw StorageError(.malformed, "the summary has only some of its errors")
    }
  }

  var json: JSONValue {
    var object: JSONObject = [
      "bytes": JSONValue(bytes), "parameters": JSONValue(parameters), "tensors": JSONValue(tensors),
      "factors": JSONValue(factors),
    ]
    object["correction_bytes"] = correctionBytes.map { JSONValue($0) }
    if let error, let worstError, let worstTensor {
      object["error"] = error.json
      object["worst_error"] = worstError.json
      object["worst_tensor"] = .string(worstTensor)
    }
    return .object(object)
  }
}
