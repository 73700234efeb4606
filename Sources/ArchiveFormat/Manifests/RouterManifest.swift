import TMPackByteIO
import TMPackJSON
import TMPackTensorKit

/// Which floats a router's weights are kept in (TMP-11-6).
package enum RouterDType: String, Sendable, CaseIterable {
  case f32 = "F32"
  case bf16 = "BF16"
  case f16 = "F16"

  package var format: FloatFormat {
    switch self {
    case .f32: .f32
    case .bf16: .bf16
    case .f16: .f16
    }
  }
}

/// One linear layer of a router as it is stored (TMP-11-6).
package struct StoredRouterLayer: Sendable, Hashable {
  package let outputs: Int
  /// F32, one an output.
  package var bias: PayloadReference
  /// [outputs, inputs].
  package var weights: PayloadReference

  package init(outputs: Int, bias: PayloadReference, weights: PayloadReference) {
    self.outputs = outputs
    self.bias = bias
    self.weights = weights
  }
}

/// What a router computes its logits with, as it is stored (TMP-11-5).
package enum StoredRouterModel: Sendable, Hashable {
  /// Linear layers with leaky rectifiers of a slope between them (TMP-11-6).
  case layers([StoredRouterLayer], slope: Measure, dtype: RouterDType)
  /// The nearest of some labelled examples (TMP-11-7).
  case neighbours(StoredNeighbours)
}

/// The examples of a router that looks for the nearest (TMP-11-7).
package struct StoredNeighbours: Sendable, Hashable {
  /// How many neighbours vote.
  package let count: Int
  package let examples: Int
  package let dtype: RouterDType
  /// F32, one a dimension.
  package var centers: PayloadReference
  /// U16, one an example.
  package var labels: PayloadReference
  /// F32, one a dimension.
  package var scales: PayloadReference
  /// [examples, dimension].
  package var vectors: PayloadReference

  package init(
    count: Int, examples: Int, dtype: RouterDType, centers: PayloadReference, labels: PayloadReference,
    scales: PayloadReference, vectors: PayloadReference
  ) {
    self.count = count
    self.examples = examples
    self.dtype = dtype
    self.centers = centers
    self.labels = labels
    self.scales = scales
    self.vectors = vectors
  }
}

/// What was measured when a router was made (TMP-11-4); whatever is unknown is nil.
package struct RouterMeasures: Sendable, Hashable {
  /// Share of the validation inputs whose greatest weight is their class's.
  package var accuracy: Measure?
  /// Mean cross-entropy of the validation inputs, in nats.
  package var loss: Measure?
  /// Training inputs.
  package var examples: Int?
  /// Validation inputs.
  package var validation: Int?

  package init(accuracy: Measure? = nil, loss: Measure? = nil, examples: Int? = nil, validation: Int? = nil) {
    self.accuracy = accuracy
    self.loss = loss
    self.examples = examples
    self.validation = validation
  }
}

/// The table of contents of a router's section (TMP-11-3).
package struct RouterManifest: Sendable {
  /// Names of experts, in the order of the logits.
  package var classes: [String]
  /// Numbers of an input.
  package var dimension: Int
  package var model: StoredRouterModel
  /// What a softmax divides by, unless another is asked for; 1 where it is nil.
  package var temperature: Measure?
  /// The normalised entropy above which the shared model is taken, unless another is asked for.
  package var fallbackEntropy: Measure?
  package var measures: RouterMeasures
  package var provenance: Provenance

  package init(
    classes: [String], dimension: Int, model: StoredRouterModel, temperature: Measure?, fallbackEntropy: Measure?,
    measures: RouterMeasures, provenance: Provenance
  ) {
    self.classes = classes
    self.dimension = dimension
    self.model = model
    self.temperature = temperature
    self.fallbackEntropy = fallbackEntropy
    self.measures = measures
    self.provenance = provenance
  }

  /// What people call the model.
  package var kindName: String {
    switch model {
    case .layers(let layers, _, _): layers.count == 1 ? "linear" : "mlp"
    case .neighbours: "knn"
    }
  }
}

extension RouterManifest: SectionManifest {
  static let what = "the router's manifest"
  static let lists: [LongList] = []

  /// - Parameter context: the names of the archive's experts.
  init(parsing text: ManifestText, context experts: [String], _ ledger: inout PayloadLedger) throws(StorageError) {
    let what = Self.what
    let object = try text.withBytes { raw throws(StorageError) in
      try CanonicalText(parsing: raw, what, lists: Self.lists).object
    }
    try object.allowOnly(
      ["classes", "defaults", "dimension", "kind", "measures", "model", "provenance"], in: what)
    guard try object.required("kind", of: what).asString("the kind") == "router" else {
      throw StorageError(.malformed, "\(what) says that it is of another kind")
    }
    classes = try object.required("classes", of: what).asArray("the router's classes").map {
      value throws(StorageError) in try value.asString("a class of the router")
    }
    try Self.check(classes: classes, experts: experts)
    dimension = try object.required("dimension", of: what).asCount("the router's dimension")
    try Self.check(width: dimension, "the router's dimension")
    model = try StoredRouterModel(
      json: try object.required("model", of: what), dimension: dimension, classes: classes.count)
    let defaults = try object.required("defaults", of: what).asObject("the router's defaults")
    try defaults.allowOnly(["fallback_entropy", "temperature"], in: "the router's defaults")
    temperature = try defaults["temperature"].map { value throws(StorageError) in
      try Measure(json: value, "the temperature")
    }
    fallbackEntropy = try defaults["fallback_entropy"].map { value throws(StorageError) in
      try Measure(json: value, "the entropy of the fallback")
    }
    if let temperature, temperature.value < Self.leastTemperature {
      throw StorageError(.malformed, "the router's temperature is below \(Self.leastTemperature)")
    }
    measures = try RouterMeasures(json: try object.required("measures", of: what))
    provenance = try Provenance(json: try object.required("provenance", of: what))
    for payload in payloads { try ledger.add(payload) }
  }

  /// Its classes, measures and defaults are small, and may be changed.
  var text: ManifestText? { nil }

  /// The least temperature, so that logits of a sensible size can be divided by it (TMP-11-4).
  package static let leastTemperature = 1e-6

  /// TMP-11-3
  private static func check(classes: [String], experts: [String]) throws(StorageError) {
    try Limits.check(classes.count, atMost: Limits.experts, "the number of the router's classes")
    guard classes.count >= 2 else { throw StorageError(.malformed, "the router has fewer than two classes") }
    let known = Set(experts.map { ExactString($0) })
    var seen: Set<ExactString> = []
    for name in classes {
      guard known.contains(ExactString(name)) else {
        throw StorageError(.malformed, "the router has the class \"\(name)\", which is no expert of the archive")
      }
      guard seen.insert(ExactString(name)).inserted else {
        throw StorageError(.malformed, "the router has the class \"\(name)\" twice")
      }
    }
  }

  /// TMP-9-14
  static func check(width: Int, _ what: @autoclosure () -> String) throws(StorageError) {
    guard width >= 1 else { throw StorageError(.malformed, "\(what()) is 0") }
    try Limits.check(width, atMost: Limits.routerWidth, what())
  }

  var json: JSONValue {
    var defaults: JSONObject = [:]
    defaults["fallback_entropy"] = fallbackEntropy?.json
    defaults["temperature"] = temperature?.json
    return [
      "classes": .array(classes.map { .string($0) }), "defaults": .object(defaults), "dimension": JSONValue(dimension),
      "kind": "router", "measures": measures.json, "model": model.json, "provenance": provenance.json,
    ]
  }

  mutating func mapPayloads<Failure>(_ body: (PayloadReference) throws(Failure) -> PayloadReference) throws(Failure) {
    switch model {
    case .layers(var layers, let slope, let dtype):
      for index in layers.indices {
        layers[index].bias = try body(layers[index].bias)
        layers[index].weights = try body(layers[index].weights)
      }
      model = .layers(layers, slope: slope, dtype: dtype)
    case .neighbours(var neighbours):
      neighbours.centers = try body(neighbours.centers)
      neighbours.labels = try body(neighbours.labels)
      neighbours.scales = try body(neighbours.scales)
      neighbours.vectors = try body(neighbours.vectors)
      model = .neighbours(neighbours)
    }
  }

  /// All payloads, in the order of the canonical manifest.
  var payloads: [PayloadReference] {
    var list: [PayloadReference] = []
    var copy = self
    copy.mapPayloads { payload in
      list.append(payload)
      return payload
    }
    return list
  }
}

extension StoredRouterModel {
  init(json: JSONValue, dimension: Int, classes: Int) throws(StorageError) {
    let object = try json.asObject("the router's model")
    let kind = try object.required("kind", of: "the router's model").asString("the kind of the router's model")
    let dtypeName = try object.required("dtype", of: "the router's model").asString("the router's dtype")
    guard let dtype = RouterDType(rawValue: dtypeName) else {
      throw StorageError(.malformed, "the router has the unknown dtype \"\(dtypeName)\"")
    }
    switch kind {
    case "layers":
      try object.allowOnly(["dtype", "kind", "layers", "slope"], in: "the router's model")
      let slope = try Measure(json: try object.required("slope", of: "the router's model"), "the slope")
      let list = try object.required("layers", of: "the router's model").asArray("the router's layers")
      try Limits.check(list.count, atMost: Limits.routerLayers, "the number of the router's layers")  // TMP-9-15
      var inputs = dimension
      var elements = 0
      let layers = try list.map { value throws(StorageError) in
        let layer = try StoredRouterLayer(json: value, inputs: inputs, dtype: dtype, elements: &elements)
        inputs = layer.outputs
        return layer
      }
      guard !layers.isEmpty, inputs == classes else {
        throw StorageError(.malformed, "the router's last layer has \(inputs) outputs for \(classes) classes")
      }
      self = .layers(layers, slope: slope, dtype: dtype)
    case "neighbours":
      self = .neighbours(try StoredNeighbours(object, dtype: dtype, dimension: dimension))
    default: throw StorageError(.malformed, "the router's model has the unknown kind \"\(kind)\"")
    }
  }

  var json: JSONValue {
    switch self {
    case .layers(let layers, let slope, let dtype):
      [
        "dtype": .string(dtype.rawValue), "kind": "layers", "layers": .array(layers.map(\.json)), "slope": slope.json,
      ]
    case .neighbours(let neighbours): neighbours.json
    }
  }
}

extension StoredRouterLayer {
  fileprivate init(json: JSONValue, inputs: Int, dtype: RouterDType, elements: inout Int) throws(StorageError) {
    let what = "a layer of the router"
    let object = try json.asObject(what)
    try object.allowOnly(["bias", "outputs", "weights"], in: what)
    outputs = try object.required("outputs", of: what).asCount("the outputs of a layer")
    try RouterManifest.check(width: outputs, "the number of outputs of a layer")
    let count = inputs * outputs  // both are at most Limits.routerWidth
    elements += count
    try Limits.check(elements, atMost: Limits.routerElements, "the number of the router's weights")  // TMP-9-16
    bias = try object.payload("bias", bytes: outputs * 4)
    weights = try object.payload("weights", bytes: count * dtype.format.byteWidth)
  }

  var json: JSONValue { ["bias": bias.json, "outputs": JSONValue(outputs), "weights": weights.json] }
}

extension StoredNeighbours {
  fileprivate init(_ object: JSONObject, dtype: RouterDType, dimension: Int) throws(StorageError) {
    let what = "the router's model"
    try object.allowOnly(
      ["centers", "count", "dtype", "examples", "kind", "labels", "scales", "vectors"], in: what)
    count = try object.required("count", of: what).asCount("the number of neighbours")
    examples = try object.required("examples", of: what).asCount("the number of the router's examples")
    try Limits.check(examples, atMost: Limits.routerExamples, "the number of the router's examples")  // TMP-9-17
    guard count >= 1, count <= examples else {
      throw StorageError(.malformed, "the router asks for \(count) neighbours of \(examples) examples")
    }
    let elements = examples * dimension  // both are limited
    try Limits.check(elements, atMost: Limits.routerElements, "the number of the router's weights")  // TMP-9-16
    self.dtype = dtype
    centers = try object.payload("centers", bytes: dimension * 4)
    labels = try object.payload("labels", bytes: examples * 2)
    scales = try object.payload("scales", bytes: dimension * 4)
    vectors = try object.payload("vectors", bytes: elements * dtype.format.byteWidth)
  }

  var json: JSONValue {
    [
      "centers": centers.json, "count": JSONValue(count), "dtype": .string(dtype.rawValue),
      "examples": JSONValue(examples), "kind": "neighbours", "labels": labels.json, "scales": scales.json,
      "vectors": vectors.json,
    ]
  }
}

extension RouterMeasures {
  fileprivate init(json: JSONValue) throws(StorageError) {
    let object = try json.asObject("the router's measures")
    try object.allowOnly(["accuracy", "examples", "loss", "validation"], in: "the router's measures")
    accuracy = try object["accuracy"].map { value throws(StorageError) in try Measure(json: value, "the accuracy") }
    loss = try object["loss"].map { value throws(StorageError) in try Measure(json: value, "the loss") }
    examples = try object["examples"]?.asCount("the number of examples")
    validation = try object["validation"]?.asCount("the number of validation inputs")
  }

  fileprivate var json: JSONValue {
    var object: JSONObject = [:]
    object["accuracy"] = accuracy?.json
    object["loss"] = loss?.json
    object["examples"] = examples.map { JSONValue($0) }
    object["validation"] = validation.map { JSONValue($0) }
    return .object(object)
  }
}

extension JSONObject {
  /// A payload of exactly so many bytes.
  fileprivate func payload(_ name: String, bytes: Int) throws(StorageError) -> PayloadReference {
    let what = "the router's \(name)"
    let payload = try PayloadReference(json: try required(name, of: "the router's model"), what)
    guard payload.size == bytes else {
      throw StorageError(.malformed, "\(what) have \(payload.size) bytes instead of \(bytes)")
    }
    return payload
  }
}
