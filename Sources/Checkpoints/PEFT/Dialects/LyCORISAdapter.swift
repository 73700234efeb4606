import TMPackByteIO
import TMPackJSON
import TMPackTensorKit

/// LoHa and LoKr, seen as LoRA of a larger rank: of an adapter of peft 0.21, or of a file of LyCORIS.
///
/// Both are products of two matrices that are made of smaller ones, so that nothing is approximated. LoHa is
/// s · (W₁ₐ W₁ᵦ) ∘ (W₂ₐ W₂ᵦ): B has the products of a column of W₁ₐ and one of W₂ₐ, A of a row of W₁ᵦ and one of W₂ᵦ. LoKr is
/// s · W₁ ⊗ W₂, where either may be a product: B = L₁ ⊗ L₂ and A = R₁ ⊗ R₂, with a matrix that is none times the identity.
/// Of a convolution what is multiplied for one output is a row. A matrix of it may have a core T, [r, r, height, width], between
/// its sides: then these are Wₐᵀ and T Wᵦ.
///
/// Source: Yeh et al., LyCORIS, 2023, arXiv 2309.14859; `peft/tuners/loha` and `lokr`.
struct LyCORISAdapter: TensorSource {
  /// `peft_type`
  enum Kind: String { case loha = "LOHA", lokr = "LOKR" }

  /// What became of a module.
  struct Module {
    /// As LoRA.
    let rank: Int
    /// As the adapter counts it; nil where nothing is factored.
    let ownRank: Int?
  }

  private(set) var tensors: [TensorInfo] = []
  private(set) var modules: [ExactString: Module] = [:]
  private let source: any TensorSource
  private var parts: [ExactString: Part] = [:]

  private enum Part: Sendable {
    case same(TensorInfo)
    case columnProducts(Matrix, Matrix)
    case rowProducts(Matrix, Matrix)
    case kronecker(Matrix, Matrix)
  }

  private enum Matrix: Sendable {
    /// Rows are the first dimension.
    case stored(TensorInfo)
    case transposed(TensorInfo)
    /// Times a matrix.
    case core(TensorInfo, TensorInfo)
    case identity(Int)

    var sides: (rows: Int, columns: Int) {
      switch self {
      case .stored(let info): (info.shape.dimensions[0], info.shape.elementCount / info.shape.dimensions[0])
      case .transposed(let info): (info.shape.dimensions[1], info.shape.dimensions[0])
      case .core(let core, let matrix):
        (
          core.shape.dimensions[0],
          core.shape.elementCount / core.shape.dimensions[0] / core.shape.dimensions[1] * matrix.shape.dimensions[1]
        )
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

  /// - Throws: `malformed`; `unsupportedFeature` for another member of the configuration.
  static func view(
    _ source: any TensorSource, configuration object: JSONObject, configurationPath: String
  ) throws(StorageError) -> (LyCORISAdapter, AdapterConfiguration) {
    var configuration = try located(file: configurationPath) { () throws(StorageError) in try Self.configuration(object)
    }
    let view = try LyCORISAdapter(source)
    for (module, own) in view.modules {
      let name = Self.module(of: module.text)
      let scaling = configuration.scaling(of: name, rank: configuration.rank(of: name))
      configuration.set(name, rank: own.rank, alpha: scaling * Double(own.rank))
    }
    return (view, configuration)
  }

  private static let markers: [(text: String, kind: Kind)] = [("hada_", .loha), ("lokr_", .lokr)]

  static func isPart(_ tensor: String) -> Bool { part(tensor) != nil }

  private static func part(_ tensor: String) -> (module: String, kind: Kind, name: String)? {
    guard let dot = tensor.lastIndex(of: ".") else { return nil }
    let last = tensor[tensor.index(after: dot)...]
    guard let marker = markers.first(where: { last.hasPrefix($0.text) }) else { return nil }
    return (String(tensor[..<dot]), marker.kind, String(last.dropFirst(marker.text.count)))
  }

  /// - Parameter source: what in it is no part of LoHa or LoKr stays as it is.
  /// - Throws: `malformed` for parts that make no update; `limitExceeded`. Each names the tensor.
  init(_ source: any TensorSource) throws(StorageError) {
    self.source = source
    try located(file: source.label) { () throws(StorageError) in
      var found: [ExactString: (kind: Kind, parts: [String: TensorInfo])] = [:]
      for info in source.tensors {
        guard let (module, kind, name) = Self.part(info.name) else {
          try add(info.name, info.dtype, info.shape.dimensions, .same(info))
          continue
        }
        guard info.shape.dimensions.count >= 2, info.shape.elementCount > 0 else {
          throw StorageError(.malformed, "is no matrix; its shape is \(info.shape)", tensor: info.name)
        }
        guard info.dtype.floatFormat != nil else {
          throw StorageError(.unsupportedFeature, "is of dtype \(info.dtype.rawValue)", tensor: info.name)
        }
        let key = ExactString(module)
        guard found[key, default: (kind, [:])].kind == kind else {
          throw StorageError(.malformed, "is of a module that has another update", tensor: info.name)
        }
        found[key, default: (kind, [:])].parts[name] = info
      }
      for (module, own) in found.sorted(by: { $0.key.text.precedesInBytes($1.key.text) }) {
        modules[module] = try own.kind == .loha ? addLoHa(module.text, own.parts) : addLoKr(module.text, own.parts)
      }
    }
    tensors = tensors.sortedByName()
  }

  /// As the configuration's patterns mean it.
  private static func module(of name: String) -> String {
    let prefix = "base_model.model."
    return name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name
  }

  private mutating func add(
    _ name: String, _ dtype: DType, _ shape: [Int], _ part: Part
  ) throws(StorageError) {
    let info = try TensorInfo(name: name, dtype: dtype, shape: Shape(shape))
    if case .same = part {
    } else {
      try Limits.check(info.shape.elementCount, atMost: Limits.adapterElements, "the elements of \(name)")
    }
    tensors.append(info)
    parts[ExactString(name)] = part
  }

  /// A matrix that is the product of two, from what is there of it; `used` counts the tensors.
  private func sides(
    _ name: String, core: String, of module: String, _ parts: [String: TensorInfo], _ used: inout Int
  ) throws(StorageError) -> (left: Matrix, right: Matrix) {
    guard let a = parts["\(name)_a"], let b = parts["\(name)_b"] else { throw incomplete(module, parts) }
    used += 2
    guard a.shape.dimensions.count == 2 else { throw misfit(a) }
    guard let core = parts[core] else {
      guard a.shape.dimensions[1] == b.shape.dimensions[0] else { throw misfit(b) }
      return (.stored(a), .stored(b))
    }
    used += 1
    guard b.shape.dimensions.count == 2, core.shape.dimensions.count > 2,
      Array(core.shape.dimensions.prefix(2)) == [a.shape.dimensions[0], b.shape.dimensions[0]]
    else { throw misfit(core) }
    let size = try (core.shape.elementCount / b.shape.dimensions[0]).multiplied(
      by: b.shape.dimensions[1], "a side")
    try Limits.check(size, atMost: Limits.adapterElements, "the elements of \(module)")
    return (.transposed(a), .core(core, b))
  }

  private mutating func addLoHa(_ module: String, _ parts: [String: TensorInfo]) throws(StorageError) -> Module {
    var used = 0
    let first = try sides("w1", core: "t1", of: module, parts, &used)
    let second = try sides("w2", core: "t2", of: module, parts, &used)
    guard used == parts.count else { throw incomplete(module, parts) }
    let (outputs, inputs) = (first.left.sides.rows, first.right.sides.columns)
    guard second.left.sides.rows == outputs, second.right.sides.columns == inputs else { throw misfit(parts["w2_a"]!) }
    let rank = try first.left.sides.columns.multiplied(by: second.left.sides.columns, "a rank")
    try Limits.check(rank, atMost: Limits.adapterRank, "the rank of \(module)")
    try add("\(module).lora_A.weight", .f32, [rank, inputs], .rowProducts(first.right, second.right))
    try add("\(module).lora_B.weight", .f32, [outputs, rank], .columnProducts(first.left, second.left))
    return Module(rank: rank, ownRank: first.left.sides.columns)
  }

  private mutating func addLoKr(_ module: String, _ parts: [String: TensorInfo]) throws(StorageError) -> Module {
    var used = 0
    var ownRank: Int?
    func factors(_ name: String, core: String) throws(StorageError) -> (left: Matrix, right: Matrix) {
      guard let whole = parts[name] else {
        let sides = try sides(name, core: core, of: module, parts, &used)
        ownRank = sides.left.sides.columns
        return sides
      }
      used += 1
      let (rows, columns) = Matrix.stored(whole).sides
      return rows <= columns ? (.identity(rows), .stored(whole)) : (.stored(whole), .identity(columns))
    }
    let (first, second) = (try factors("w1", core: "t1"), try factors("w2", core: "t2"))
    guard used == parts.count else { throw incomplete(module, parts) }
    let rank = try first.left.sides.columns.multiplied(by: second.left.sides.columns, "a rank")
    try Limits.check(rank, atMost: Limits.adapterRank, "the rank of \(module)")
    let outputs = try first.left.sides.rows.multiplied(by: second.left.sides.rows, "a side")
    let inputs = try first.right.sides.columns.multiplied(by: second.right.sides.columns, "a side")
    try add("\(module).lora_A.weight", .f32, [rank, inputs], .kronecker(first.right, second.right))
    try add("\(module).lora_B.weight", .f32, [outputs, rank], .kronecker(first.left, second.left))
    return Module(rank: rank, ownRank: ownRank)
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
    guard let part = parts[ExactString(info.name)] else { throw unknown(info) }
    let columns = info.shape.dimensions.last ?? 1
    var values: [Float]
    switch part {
    case .same(let stored): return try source.read(stored, into: destination)
    case .columnProducts(let first, let second):
      let (a, b) = (try floats(first), try floats(second))
      let (r, s) = (first.sides.columns, second.sides.columns)
      values = [Float](repeating: 0, count: info.shape.elementCount)
      for row in 0..<first.sides.rows {
        for i in 0..<r {
          for j in 0..<s { values[row * columns + i * s + j] = a[row * r + i] * b[row * s + j] }
        }
      }
    case .rowProducts(let first, let second):
      let (a, b) = (try floats(first), try floats(second))
      let s = second.sides.rows
      values = [Float](repeating: 0, count: info.shape.elementCount)
      for i in 0..<first.sides.rows {
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
    case .transposed(let info):
      let (values, rows, columns) = (try floats(info), info.shape.dimensions[0], info.shape.dimensions[1])
      return (0..<columns).flatMap { column in (0..<rows).map { row in values[row * columns + column] } }
    case .core(let core, let matrix): return try product(core, matrix)
    case .identity(let side):
      var values = [Float](repeating: 0, count: side * side)
      for i in 0..<side { values[i * side + i] = 1 }
      return values
    }
  }

  /// [i, j, …] times [j, r], as [i, (r, …)].
  private func product(_ core: TensorInfo, _ matrix: TensorInfo) throws(StorageError) -> [Float] {
    let (values, factors) = (try floats(core), try floats(matrix))
    let (rows, inner, columns) = (core.shape.dimensions[0], core.shape.dimensions[1], matrix.shape.dimensions[1])
    let extent = values.count / (rows * inner)
    var result = [Float](repeating: 0, count: rows * columns * extent)
    for i in 0..<rows {
      for j in 0..<inner {
        for r in 0..<columns {
          let factor = factors[j * columns + r]
          let (from, to) = ((i * inner + j) * extent, (i * columns + r) * extent)
          for k in 0..<extent { result[to + k] += values[from + k] * factor }
        }
      }
    }
    return result
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
