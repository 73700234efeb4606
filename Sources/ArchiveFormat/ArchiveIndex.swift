import TMPackByteIO
import TMPackJSON

/// How the shared model was made. It says nothing about decoding.
package struct SharedMethod: Sendable, Hashable {
  /// A merging method's name (TMP-4-9).
  package struct Name: Sendable, Hashable {
    package let rawValue: String

    /// - Precondition: `name` keeps TMP-4-9.
    package init(_ name: String) {
      precondition(Self.isValid(name), "the names of methods are ours")
      rawValue = name
    }

    init(parsing name: String) throws(StorageError) {
      guard Self.isValid(name) else {
        throw StorageError(.malformed, "the shared model has a method that is no name: \"\(name)\"")
      }
      rawValue = name
    }

    private static func isValid(_ name: String) -> Bool {
      !name.isEmpty && name.utf8.count <= 64
        && name.utf8.allSatisfy { "abcdefghijklmnopqrstuvwxyz0123456789-".utf8.contains($0) }
    }

    package static let base = Name("base")
    package static let average = Name("average")
    package static let taskArithmetic = Name("task-arithmetic")
    /// Merged elsewhere.
    package static let given = Name("given")
  }
  package let name: Name
  package let parameters: [String: String]

  package init(_ name: Name, parameters: [String: String] = [:]) {
    self.name = name
    self.parameters = parameters
  }
}

/// An expert as the index lists it.
package struct ExpertReference: Sendable, Hashable {
  package let name: String
  package let section: SectionReference
  package let summary: ExpertSummary
}

/// The index: what the root digest names (TMP-4).
package struct ArchiveIndex: Sendable {
  package let shared: SectionReference
  package let storage: SharedStorage
  package let method: SharedMethod
  /// In declaration order.
  package let experts: [ExpertReference]
  /// The router's section, if there is one (TMP-11-1).
  package let router: SectionReference?
  /// Whether there are extensions whose extents this build does not know.
  let hasUnknownExtensions: Bool
  /// What experts may make use of.
  package let required: Set<RequiredFeature>

  init(
    shared: SectionReference, storage: SharedStorage, method: SharedMethod, experts: [ExpertReference],
    router: SectionReference?, required: Set<RequiredFeature>
  ) {
    self.required = required
    self.shared = shared
    self.storage = storage
    self.method = method
    self.experts = experts
    self.router = router
    hasUnknownExtensions = false
  }
}

/// Rules for the name of an expert (TMP-4-7): what a command line can quote in `name=weight,…` and `FILE#NAME`.
package enum ExpertName {
  package static func check(_ name: String) throws(StorageError) {
    try Limits.check(name.utf8.count, atMost: Limits.nameBytes, "the length of an expert's name")
    let isPlain = name.unicodeScalars.allSatisfy { scalar in
      scalar.properties.generalCategory != .control && !"=,#/\\".unicodeScalars.contains(scalar)
    }
    guard !name.isEmpty, name != ".", name != "..", isPlain else {
      throw StorageError(
        .malformed,
        "the expert name \"\(name)\" is empty, a dot or two, or has one of = , # / \\ or a control character")
    }
  }
}

extension ArchiveIndex {
  /// A router in the archive (TMP-11-1).
  static let routerFeature = "router"
  /// Features that this build knows (TMP-4-5).
  static let knownFeatures = Set(RequiredFeature.allCases.map(\.rawValue) + [routerFeature])
  private static let experts = LongList(member: "experts", elements: "experts", most: Limits.experts)  // TMP-9-3

  init(parsing raw: UnsafeRawBufferPointer, archiveEnd: UInt64) throws(StorageError) {
    let text = try CanonicalText(parsing: raw, "the index", lists: [Self.experts])
    let object = text.object
    // Features first: they explain what else may look wrong.
    let features = try object.required("features", of: "the index").asObject("features")
    try features.allowOnly(["optional", "required"], in: "features")
    var namesRouter = false
    var needed: Set<RequiredFeature> = []
    for kind in ["optional", "required"] {
      let names = try features.required(kind, of: "features").asArray("\(kind) features").map {
        value throws(StorageError) in try value.asString("a feature")
      }
      try names.checkSorted("\(kind) features")
      if kind == "required", let unknown = names.first(where: { !Self.knownFeatures.contains($0) }) {
        throw StorageError(.unsupportedFeature, "needs the feature \"\(unknown)\", which this build does not have")
      }
      if names.contains(Self.routerFeature) { namesRouter = true }
      if kind == "required" { needed = Set(names.compactMap(RequiredFeature.init)) }
    }
    required = needed
    try object.allowOnly(["experts", "extensions", "features", "shared"], in: "the index")
    let extensions = try object["extensions"]?.asObject("extensions") ?? [:]  // TMP-4-6
    guard namesRouter == (extensions[Self.routerFeature] != nil) else {  // TMP-11-1
      throw StorageError(.malformed, "the feature \"router\" and the extension of that name do not go together")
    }
    router = try extensions[Self.routerFeature].map { value throws(StorageError) in
      let router = try value.asObject("the router")
      try router.allowOnly(["section"], in: "the router")
      return try SectionReference(json: try router.required("section", of: "the router"), archiveEnd: archiveEnd)
    }
    hasUnknownExtensions = extensions.names.contains { !Self.knownFeatures.contains($0) }

    let shared = try object.required("shared", of: "the index").asObject("shared")
    try shared.allowOnly(["method", "parameters", "section", "storage"], in: "shared")
    self.shared = try SectionReference(json: try shared.required("section", of: "shared"), archiveEnd: archiveEnd)
    let storageName = try shared.required("storage", of: "shared").asString("the storage")
    guard let storage = SharedStorage(rawValue: storageName) else {
      throw StorageError(.malformed, "the shared model has the unknown storage \"\(storageName)\"")
    }
    self.storage = storage
    let methodName = try shared.required("method", of: "shared").asString("the method")
    method = SharedMethod(
      try SharedMethod.Name(parsing: methodName),
      parameters: try shared.required("parameters", of: "shared").asStringMap("the parameters"))

    var names: Set<ExactString> = []
    experts = try text.elements(of: Self.experts) { value throws(StorageError) in
      let expert = try ExpertReference(json: value, archiveEnd: archiveEnd)
      guard names.insert(ExactString(expert.name)).inserted else {
        throw StorageError(.malformed, "two experts have the name \"\(expert.name)\"")
      }
      return expert
    }
    try checkSections(archiveEnd: archiveEnd)
  }

  /// TMP-9-18. A section counts as often as it is named: what is made of it may be kept for each.
  private func checkSections(archiveEnd: UInt64) throws(StorageError) {
    let sections = [shared] + experts.map(\.section) + [router].compactMap { $0 }
    // At most 65,538 times 256 MiB.
    let sum = sections.reduce(0) { $0 + UInt64($1.rawSize) }
    try Limits.check(
      sum, atMost: Limits.bound(ofArchive: archiveEnd, Limits.sectionsFloor, Limits.sectionsFactor),
      "the raw size of all sections together")
  }

  func encoded() throws(StorageError) -> [UInt8] {
    var json: JSONObject = [
      "experts": .array(experts.map(\.json)),
      "features": [
        "optional": router == nil ? [] : [.string(Self.routerFeature)],
        "required": .array(required.map(\.rawValue).sorted().map { .string($0) }),
      ],
      "shared": [
        "method": .string(method.name.rawValue), "parameters": JSONValue(method.parameters),
        "section": shared.json, "storage": .string(storage.rawValue),
      ],
    ]
    if let router { json["extensions"] = .object([Self.routerFeature: ["section": router.json]]) }
    try CanonicalText.check(json, "the index", lists: [Self.experts])
    let text = JSONValue.object(json).canonicalText
    try Limits.check(text.count, atMost: Limits.indexBytes, "the raw size of the index")
    return text
  }
}

extension ExpertReference {
  init(json: JSONValue, archiveEnd: UInt64) throws(StorageError) {
    let object = try json.asObject("an expert")
    try object.allowOnly(["name", "section", "summary"], in: "an expert")
    let name = try object.required("name", of: "an expert").asString("an expert's name")
    try ExpertName.check(name)
    self = try located(expert: name) { () throws(StorageError) in
      ExpertReference(
        name: name,
        section: try SectionReference(json: try object.required("section", of: "the expert"), archiveEnd: archiveEnd),
        summary: try ExpertSummary(json: try object.required("summary", of: "the expert")))
    }
  }

  var json: JSONValue { ["name": .string(name), "section": section.json, "summary": summary.json] }
}
