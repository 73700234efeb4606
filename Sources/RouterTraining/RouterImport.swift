import TMPackByteIO
import TMPackReading
import TMPackTensorKit

/// Makes a router of the state dictionary of a PyTorch network of `Linear` and `BatchNorm1d` layers.
///
/// The dictionary says neither in which order layers come nor what lies between them. Linear layers must fit each other
/// in the natural order of their names, and all but the last are followed by a leaky rectifier. A normalisation belongs to
/// the linear layer before it: by its number, where all modules are numbered as `Sequential` does it, and otherwise by
/// counting, the first to the first. One that comes before all linear layers normalises the inputs. Anything else needs
/// `order`; and numbers that leave room between a layer and its normalisation, which the rectifier may fill, need
/// `normalization`.
package struct RouterImport: Sendable {
  /// Where normalisations stand.
  package enum NormalizationPlace: String, Sendable, CaseIterable {
    /// Linear, BatchNorm1d, rectifier.
    case before
    /// Linear, rectifier, BatchNorm1d.
    case after
  }

  /// Names of all modules in the order in which they run; nil finds it.
  package var order: [String]?
  /// nil: before the rectifiers, if nothing speaks against it.
  package var normalization: NormalizationPlace?
  /// Of the rectifiers; 0 for ReLU.
  package var slope = 0.01
  /// The normalisations' ε, which is no part of the dictionary.
  package var epsilon = 1e-5

  package init() {}

  /// One module of the dictionary.
  private enum Module {
    case linear(FoldableLayer)
    case normalization(Normalization)
  }

  private struct Normalization {
    let gamma: [Double]
    let beta: [Double]
    let mean: [Double]
    let variance: [Double]
  }

  /// Reads the network; dropout leaves nothing in a dictionary and is nothing when a router is used.
  ///
  /// - Throws: `unsupportedFeature` for modules of another kind, naming them; `shapeMismatch` for layers that do not fit;
  ///   `invalidArgument` where the order is not clear; `nonFinite`; what the file's reader throws.
  package func model(_ source: any TensorSource) throws(StorageError) -> RouterModel {
    guard slope >= 0, slope.isFinite, epsilon >= 0, epsilon.isFinite else {
      throw StorageError(.invalidArgument, "the slope and ε must be numbers that are not negative")
    }
    return try located(file: source.label) { () throws(StorageError) in
      let modules = try ordered(Self.modules(of: source))
      return .layers(try LayeredRouter(fold(modules), slope: slope))
    }
  }

  // MARK: Modules

  private static func modules(of source: any TensorSource) throws(StorageError) -> [(name: String, module: Module)] {
    var names: [String] = []
    for info in source.tensors {
      let (module, _) = split(info.name)
      if names.last.map({ !$0.hasSameBytes(as: module) }) ?? true { names.append(module) }
    }
    var seen: Set<ExactString> = []
    names = names.filter { seen.insert(ExactString($0)).inserted }
    var modules: [(name: String, module: Module)] = []
    for name in names.sorted(by: precedesNaturally) {
      modules.append((name, try module(name, in: source)))
    }
    return modules
  }

  private static func split(_ name: String) -> (module: String, member: String) {
    guard let dot = name.lastIndex(of: ".") else { return ("", name) }
    return (String(name[..<dot]), String(name[name.index(after: dot)...]))
  }

  private static func module(_ name: String, in source: any TensorSource) throws(StorageError) -> Module {
    var members: [String: (shape: [Int], values: [Double])] = [:]
    for info in source.tensors where split(info.name).module.hasSameBytes(as: name) {
      let member = split(info.name).member
      if member == "num_batches_tracked" { continue }
      members[member] = try located(tensor: info.name) { () throws(StorageError) in
        (info.shape.dimensions, try values(of: info, in: source))
      }
    }
    let known: Set = ["weight", "bias", "running_mean", "running_var"]
    guard members.keys.allSatisfy(known.contains) else {
      throw unsupported(name)
    }
    if let mean = members["running_mean"], let variance = members["running_var"], mean.shape.count == 1,
      variance.shape == mean.shape
    {
      let count = mean.shape[0]
      let gamma = members["weight"]?.values ?? [Double](repeating: 1, count: count)
      let beta = members["bias"]?.values ?? [Double](repeating: 0, count: count)
      guard gamma.count == count, beta.count == count else { throw unsupported(name) }
      guard variance.values.allSatisfy({ $0 >= 0 }) else {
        throw StorageError(.malformed, "the module \"\(name)\" has a negative variance")
      }
      return .normalization(Normalization(gamma: gamma, beta: beta, mean: mean.values, variance: variance.values))
    }
    guard let weight = members["weight"], weight.shape.count == 2, weight.shape[0] > 0, weight.shape[1] > 0,
      members["running_mean"] == nil, members["running_var"] == nil,
      members["bias"].map({ $0.shape == [weight.shape[0]] }) ?? true
    else { throw unsupported(name) }
    return .linear(
      FoldableLayer(
        inputs: weight.shape[1], outputs: weight.shape[0], weights: weight.values,
        bias: members["bias"]?.values ?? [Double](repeating: 0, count: weight.shape[0])))
  }

  private static func unsupported(_ name: String) -> StorageError {
    StorageError(.unsupportedFeature, "the module \"\(name)\" is neither a Linear nor a BatchNorm1d")
  }

  private static func values(of info: TensorInfo, in source: any TensorSource) throws(StorageError) -> [Double] {
    guard let format = info.dtype.floatFormat else {
      throw StorageError(.unsupportedFeature, "is \(info.dtype.rawValue), and no float of a router")
    }
    try Limits.check(info.shape.elementCount, atMost: Limits.routerElements, "the number of the router's weights")
    for dimension in info.shape.dimensions {
      try Limits.check(dimension, atMost: Limits.routerWidth, "the width of a layer")
    }
    var values = [Double](repeating: 0, count: info.shape.elementCount)
    try source.bytes(of: info).withBytes { raw in values.withUnsafeMutableBufferPointer { format.widen(raw, into: $0) }
    }
    guard values.allSatisfy(\.isFinite) else {
      throw StorageError(.nonFinite, "has a number that is not finite")
    }
    return values
  }

  /// Digits are compared as numbers: `net.2` comes before `net.10`.
  static func precedesNaturally(_ left: String, _ right: String) -> Bool {
    var (left, right) = (Substring(left), Substring(right))
    while let a = left.first, let b = right.first {
      let (leftDigits, rightDigits) = (
        left.prefix { $0.isASCII && $0.isNumber }, right.prefix { $0.isASCII && $0.isNumber }
      )
      if !leftDigits.isEmpty, !rightDigits.isEmpty {
        let (x, y) = (leftDigits.drop { $0 == "0" }, rightDigits.drop { $0 == "0" })
        if x != y { return x.count == y.count ? x < y : x.count < y.count }
        left = left.dropFirst(leftDigits.count)
        right = right.dropFirst(rightDigits.count)
      } else if a != b {
        return a < b
      } else {
        left = left.dropFirst()
        right = right.dropFirst()
      }
    }
    return left.isEmpty && !right.isEmpty
  }

  // MARK: Order

  private func ordered(_ modules: [(name: String, module: Module)]) throws(StorageError) -> [Module] {
    if let order {
      guard Set(order.map { ExactString($0) }) == Set(modules.map { ExactString($0.name) }),
        order.count == modules.count
      else {
        throw StorageError(
          .invalidArgument,
          "its modules are \(modules.map(\.name).joined(separator: ", ")): the order must name each once")
      }
      return order.map { name in modules.first { $0.name.hasSameBytes(as: name) }!.module }
    }
    // As `Sequential` numbers them: what the names have in front of the number is the same.
    let stems = Set(modules.map { ExactString(Self.withoutNumber($0.name)) })
    if stems.count == 1 || modules.allSatisfy({ if case .linear = $0.module { true } else { false } }) {
      if normalization == nil { try Self.checkNumbers(modules) }
      return modules.map(\.module)
    }
    var normalizations = modules.filter { if case .normalization = $0.module { true } else { false } }
    var ordered: [Module] = []
    for (_, module) in modules {
      guard case .linear(let layer) = module else { continue }
      // Of the inputs, if all linear layers are spoken for.
      if ordered.isEmpty, normalizations.count > modules.count - normalizations.count {
        ordered.append(normalizations.removeFirst().module)
      }
      ordered.append(module)
      if let next = normalizations.first, case .normalization(let own) = next.module, own.mean.count == layer.outputs {
        ordered.append(normalizations.removeFirst().module)
      }
    }
    guard normalizations.isEmpty else {
      throw StorageError(
        .invalidArgument,
        "it is not clear where the module \"\(normalizations[0].name)\" stands; give the order of the modules: \(modules.map(\.name).joined(separator: ", "))"
      )
    }
    return ordered
  }

  private static func withoutNumber(_ name: String) -> String {
    String(name.reversed().drop { $0.isASCII && $0.isNumber }.reversed())
  }

  /// Refuses a normalisation that something without parameters precedes: the rectifier, or dropout.
  private static func checkNumbers(_ modules: [(name: String, module: Module)]) throws(StorageError) {
    func number(_ name: String) -> Int? { Int(name.dropFirst(withoutNumber(name).count)) }
    for (before, next) in zip(modules, modules.dropFirst()) {
      guard case .linear = before.module, case .normalization = next.module, let first = number(before.name),
        let second = number(next.name), second - first > 1
      else { continue }
      throw StorageError(
        .invalidArgument,
        "something lies between the modules \"\(before.name)\" and \"\(next.name)\": do normalisations stand before or after the rectifiers?"
      ).with(.placeNormalization)
    }
  }

  // MARK: Folding

  private func fold(_ modules: [Module]) throws(StorageError) -> [LayeredRouter.Layer] {
    var layers: [FoldableLayer] = []
    /// What the next linear layer takes in.
    var pending: [Normalization] = []
    for module in modules {
      switch module {
      case .linear(var layer):
        if let last = layers.last, last.outputs != layer.inputs {
          throw StorageError(
            .shapeMismatch, "a layer of \(last.outputs) outputs is followed by one of \(layer.inputs) inputs")
        }
        // The last that is applied is the first to be taken in.
        for own in pending.reversed() {
          try Self.check(own, width: layer.inputs)
          layer.normalizeInputs(
            gamma: own.gamma, beta: own.beta, mean: own.mean, variance: own.variance, epsilon: epsilon)
        }
        pending = []
        layers.append(layer)
      case .normalization(let own):
        if layers.isEmpty || normalization == .after {
          pending.append(own)
        } else {
          try Self.check(own, width: layers[layers.count - 1].outputs)
          layers[layers.count - 1].normalizeOutputs(
            gamma: own.gamma, beta: own.beta, mean: own.mean, variance: own.variance, epsilon: epsilon)
        }
      }
    }
    guard !layers.isEmpty else { throw StorageError(.unsupportedFeature, "there is no Linear layer") }
    guard pending.isEmpty else {
      throw StorageError(.unsupportedFeature, "nothing follows the last normalisation after a rectifier")
    }
    try Limits.check(layers.count, atMost: Limits.routerLayers, "the number of the router's layers")
    return try layers.map { layer throws(StorageError) in try layer.layer() }
  }

  private static func check(_ own: Normalization, width: Int) throws(StorageError) {
    guard own.mean.count == width else {
      throw StorageError(.shapeMismatch, "a normalisation of \(own.mean.count) numbers stands beside \(width)")
    }
  }
}
