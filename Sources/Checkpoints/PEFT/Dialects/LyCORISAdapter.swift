import TMPackByteIO
import TMPackJSON
import TMPackTensorKit

/// A LoHa or LoKr adapter of peft 0.21, seen as a LoRA adapter of a larger rank.
///
/// Both are products of two matrices that are made of smaller ones, so that nothing is approximated. LoHa is
/// s · (W₁ₐ W₁ᵦ) ∘ (W₂ₐ W₂ᵦ): B has the products of a column of W₁ₐ and one of W₂ₐ, A of a row of W₁ᵦ and one of W₂ᵦ. LoKr is
/// s · W₁ ⊗ W₂, where either may be a product: B = L₁ ⊗ L₂ and A = R₁ ⊗ R₂, with a matrix that is none times the identity.
///
/// Source: Yeh et al., LyCORIS, 2023, arXiv 2309.14859; `peft/tuners/loha` and `lokr`.
struct LyCORISAdapter: TensorSource {
  /// `peft_type`
  enum Kind: String { case loha = "LOHA", lokr = "LOKR" }

  private(set) var tensors: [TensorInfo] = []
  private let source: any TensorSource
  private var parts: [ExactString: Part] = [:]

  private enum Part: Sendable {
    case same(TensorInfo)
    case columnProducts(TensorInfo, TensorInfo)
    case rowProducts(TensorInfo, TensorInfo)
    case kronecker(Matrix, Matrix)
  }

  private enum Matrix: Sendable {
    case stored(TensorInfo)
    case identity(Int)

    var sides: (rows: Int, columns: Int) {
      switch self {
      case .stored(let info): (info.shape.dimensions[0], info.shape.dimensions[1])
      case .identity(let side): (side, side)
      }
    }
  }

  var label: String { source.label }
  var metadata: [String: String] { source.metadata }

  // MARK: The configuration

  /// Beside those that are read: what bears on training and loading only.
  private static let known: Set<String> = [
    "peft_type", "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode",
    "r",
    "alpha", "rank_pattern", "alpha_pattern", "rank_dropout", "rank_dropout_scale", "module_dropout", "target_modules",
    "exclude_modules", "layers_to_transform", "layers_pattern", "modules_to_save", "init_weights",
    "use_effective_conv2d",
    "decompose_both", "decompose_factor", "runtime_config",
  ]

  /// nil for another kind of adapter.
  static func kind(of object: JSONObject) -> Kind? {
    guard case .string(let name)? = object["peft_type"] else { return nil }
    return Kind(rawValue: name)
  }

  /// What LoRA's configuration would say.
  private static func configuration(_ object: JSONObject) throws(StorageError) -> AdapterConfiguration {
    for member in object.members where !known.contains(member.name) && member.value != .null {
      throw StorageError(.unsupportedFeature, "\"\(member.name)\" is not known of such an adapter")
    }
    var plain: JSONObject = ["peft_type": "LORA"]
    plain["r"] = object["r"]
    plain["lora_alpha"] = object["alpha"]
    for name in ["rank_pattern", "alpha_pattern", "modules_to_save", "base_model_name_or_path"] {
      plain[name] = object[name]
    }
    return try AdapterConfiguration(plain)
  }

  // MARK: The tensors

  /// - Throws: `malformed`; `unsupportedFeature` for an update of a convolution, or another member of the configuration.
  static func view(
    _ source: any TensorSource, _ kind: Kind, configuration object: JSONObject, configurationPath: String
  ) throws(StorageError) -> (LyCORISAdapter, AdapterConfiguration) {
    var configuration = try located(file: configurationPath) { () throws(StorageError) in try Self.configuration(object)
    }
    var view = LyCORISAdapter(source: source)
    try located(file: source.label) { () throws(StorageError) in
      let marker = kind == .loha ? "hada_" : "lokr_"
      var modules: [ExactString: [String: TensorInfo]] = [:]
      for info in source.tensors {
        guard let dot = info.name.lastIndex(of: "."), info.name[info.name.index(after: dot)...].hasPrefix(marker) else {
          try view.add(info.name, info.dtype, info.shape.dimensions, .same(info))
          continue
        }
        let part = String(info.name[info.name.index(after: dot)...].dropFirst(marker.count))
        guard info.shape.dimensions.count == 2, info.shape.elementCount > 0, info.dtype.floatFormat != nil else {
          throw StorageError(
            .unsupportedFeature, "is of a convolution, whose updates of this kind are not merged", tensor: info.name)
        }
        modules[ExactString(String(info.name[..<dot])), default: [:]][part] = info
      }
      for (module, parts) in modules.sorted(by: { $0.key.text.precedesInBytes($1.key.text) }) {
        let rank = try kind == .loha ? view.addLoHa(module.text, parts) : view.addLoKr(module.text, parts)
        let name = Self.module(of: module.text)
        let scaling = configuration.scaling(of: name, rank: configuration.rank(of: name))
        configuration.set(name, rank: rank, alpha: scaling * Double(rank))
      }
    }
    view.tensors = view.tensors.sortedByName()
    return (view, configuration)
  }

  private init(source: any TensorSource) { self.source = source }

  /// As the configuration's patterns mean it.
  private static func module(of name: String) -> String {
    let prefix = "base_model.model."
    return name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name
  }

  private mutating func add(
    _ name: String, _ dtype: DType, _ shape: [Int], _ part: Part
  ) throws(StorageError) {
    tensors.append(try TensorInfo(name: name, dtype: dtype, shape: Shape(shape)))
    parts[ExactString(name)] = part
  }

  private mutating func addLoHa(_ module: String, _ parts: [String: TensorInfo]) throws(StorageError) -> Int {
    guard let a1 = parts["w1_a"], let b1 = parts["w1_b"], let a2 = parts["w2_a"], let b2 = parts["w2_b"],
      parts.count == 4
    else { throw incomplete(module, parts) }
    let (outputs, inputs) = (a1.shape.dimensions[0], b1.shape.dimensions[1])
    let (first, second) = (a1.shape.dimensions[1], a2.shape.dimensions[1])
    guard b1.shape.dimensions[0] == first, a2.shape.dimensions[0] == outputs, b2.shape.dimensions == [second, inputs]
    else { throw misfit(a1) }
    let rank = try first.multiplied(by: second, "a rank")
    try Limits.check(rank, atMost: Limits.adapterRank, "the rank of \(module)")
    try add("\(module).lora_A.weight", .f32, [rank, inputs], .rowProducts(b1, b2))
    try add("\(module).lora_B.weight", .f32, [outputs, rank], .columnProducts(a1, a2))
    return rank
  }

  private mutating func addLoKr(_ module: String, _ parts: [String: TensorInfo]) throws(StorageError) -> Int {
    func sides(_ name: String) throws(StorageError) -> (left: Matrix, right: Matrix) {
      if let whole = parts[name] {
        let (rows, columns) = Matrix.stored(whole).sides
        return rows <= columns ? (.identity(rows), .stored(whole)) : (.stored(whole), .identity(columns))
      }
      guard let a = parts["\(name)_a"], let b = parts["\(name)_b"] else { throw incomplete(module, parts) }
      guard a.shape.dimensions[1] == b.shape.dimensions[0] else { throw misfit(a) }
      return (.stored(a), .stored(b))
    }
    let (first, second) = (try sides("w1"), try sides("w2"))
    guard (parts["w1"] == nil ? 2 : 1) + (parts["w2"] == nil ? 2 : 1) == parts.count else {
      throw incomplete(module, parts)
    }
    let rank = try first.left.sides.columns.multiplied(by: second.left.sides.columns, "a rank")
    try Limits.check(rank, atMost: Limits.adapterRank, "the rank of \(module)")
    let outputs = try first.left.sides.rows.multiplied(by: second.left.sides.rows, "a side")
    let inputs = try first.right.sides.columns.multiplied(by: second.right.sides.columns, "a side")
    try add("\(module).lora_A.weight", .f32, [rank, inputs], .kronecker(first.right, second.right))
    try add("\(module).lora_B.weight", .f32, [outputs, rank], .kronecker(first.left, second.left))
    return rank
  }

  private func incomplete(_ module: String, _ parts: [String: TensorInfo]) -> StorageError {
    StorageError(
      .malformed, "\(module) has \(parts.keys.sorted().joined(separator: ", ")), which make no update",
      tensor: parts.values.map(\.name).min { $0.precedesInBytes($1) })
  }

  private func misfit(_ info: TensorInfo) -> StorageError {
    StorageError(
      .malformed, "does not fit the other parts of its module; its shape is \(info.shape)", tensor: info.name)
  }

  // MARK: Reading

  func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    guard let part = parts[ExactString(info.name)] else { preconditionFailure("not a tensor of this adapter") }
    let columns = info.shape.dimensions.last ?? 1
    var values: [Float]
    switch part {
    case .same(let stored): return try source.read(stored, into: destination)
    case .columnProducts(let first, let second):
      let (a, b) = (try floats(first), try floats(second))
      let (r, s) = (first.shape.dimensions[1], second.shape.dimensions[1])
      values = [Float](repeating: 0, count: info.shape.elementCount)
      for row in 0..<first.shape.dimensions[0] {
        for i in 0..<r {
          for j in 0..<s { values[row * columns + i * s + j] = a[row * r + i] * b[row * s + j] }
        }
      }
    case .rowProducts(let first, let second):
      let (a, b) = (try floats(first), try floats(second))
      let s = second.shape.dimensions[0]
      values = [Float](repeating: 0, count: info.shape.elementCount)
      for i in 0..<first.shape.dimensions[0] {
        for j in 0..<s {
          for k in 0..<columns { values[(i * s + j) * columns + k] = a[i * columns + k] * b[j * columns + k] }
        }
      }
    case .kronecker(let first, let second):
      let (a, b) = (try floats(first), try floats(second))
      let (m, n) = (first.sides, second.sides)
      values = [Float](repeating: 0, count: info.shape.elementCount)
      for i in 0..<m.rows {
        for j in 0..<m.columns where a[i * m.columns + j] != 0 {
          for k in 0..<n.rows {
            let start = (i * n.rows + k) * columns + j * n.columns
            for l in 0..<n.columns { values[start + l] = a[i * m.columns + j] * b[k * n.columns + l] }
          }
        }
      }
    }
    values.withUnsafeBufferPointer { FloatFormat.f32.round($0, into: destination) }
  }

  private func floats(_ matrix: Matrix) throws(StorageError) -> [Float] {
    switch matrix {
    case .stored(let info): return try floats(info)
    case .identity(let side):
      var values = [Float](repeating: 0, count: side * side)
      for i in 0..<side { values[i * side + i] = 1 }
      return values
    }
  }

  private func floats(_ info: TensorInfo) throws(StorageError) -> [Float] {
    guard let format = info.dtype.floatFormat else { preconditionFailure("parts are of float dtypes") }
    return try source.bytes(of: info).withBytes { raw in
      [Float](unsafeUninitializedCapacity: info.shape.elementCount) { values, count in
        count = info.shape.elementCount
        format.widen(raw, into: UnsafeMutableBufferPointer(rebasing: values[..<count]))
      }
    }
  }
}
