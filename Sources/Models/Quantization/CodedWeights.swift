import TMPackByteIO
import TMPackTensorKit

/// The weights of a model that are codes, told by the names and dtypes of their tensors.
///
/// A scale, or what else no model has without codes, tells that there are some; `CodeLayout.all` lists what each library
/// writes. Files without a configuration are known so, too.
package struct CodedWeights: Sendable {
  /// Sorted by the bytes of their names.
  package let weights: [CodedWeight]
  /// Scales of activations and marks of a library: of no meaning without the codes.
  package let attendants: [TensorInfo]

  /// - Parameter tensors: sorted by name.
  package init(in tensors: [TensorInfo]) {
    var weights: [CodedWeight] = []
    var claimed: Set<ExactString> = []
    func claim(_ weight: CodedWeight) {
      guard weight.parts.allSatisfy({ !claimed.contains(ExactString($0.name)) }) else { return }
      for part in weight.parts { claimed.insert(ExactString(part.name)) }
      weights.append(weight)
    }
    for layouts in CodeLayout.passes {
      for info in tensors where !claimed.contains(ExactString(info.name)) {
        for layout in layouts {
          guard let weight = layout.weight(toldBy: info, in: tensors) else { continue }
          claim(weight)
          break
        }
      }
    }
    for weight in Self.unknown(in: tensors, besides: claimed) { claim(weight) }
    self.weights = weights.sorted { $0.name.precedesInBytes($1.name) }
    attendants =
      weights.isEmpty
      ? [] : tensors.filter { !claimed.contains(ExactString($0.name)) && Self.isAttendant($0.name) }
  }

  package var isEmpty: Bool { weights.isEmpty }

  /// Names of all tensors that are no numbers of their own.
  package var names: Set<ExactString> {
    Set((weights.flatMap(\.parts) + attendants).map { ExactString($0.name) })
  }

  // MARK: What accompanies codes

  private static let attendantNames: Set<String> = [
    "input_scale", "input_zero_point", "input_global_scale", "output_scale", "output_zero_point", "act_scale",
    "activation_scale", "activation_scale_inv", "scale_input", "k_scale", "v_scale", "q_scale", "kv_scale",
    "prob_output_scale", "scaled_fp8", "comfy_quant", "weight_format", "weight_shape",
  ]

  private static func isAttendant(_ name: String) -> Bool { attendantNames.contains(lastComponent(of: name)) }

  // MARK: Codes of no known layout

  /// Small numbers beside something that is called a scale, in one module.
  private static func unknown(in tensors: [TensorInfo], besides claimed: Set<ExactString>) -> [CodedWeight] {
    var scales: [ExactString: TensorInfo] = [:]
    for info in tensors where !claimed.contains(ExactString(info.name)) && isScale(lastComponent(of: info.name)) {
      scales[ExactString(module(of: info.name))] = info
    }
    guard !scales.isEmpty else { return [] }
    return tensors.compactMap { info in
      let last = lastComponent(of: info.name)
      guard !claimed.contains(ExactString(info.name)), info.dtype.mayBeCodes, !isScale(last), isCode(last),
        let scale = scales[ExactString(module(of: info.name))]
      else { return nil }
      return CodedWeight(.unknown, name: info.name, codes: info, companions: [.scale: scale])
    }
  }

  private static func isScale(_ component: String) -> Bool {
    // A scale of activations is beside plain weights, too.
    !attendantNames.contains(component)
      && ["scale", "absmax", "zero_point", "qzeros", "codebook"].contains(where: component.holds)
  }

  private static func isCode(_ component: String) -> Bool {
    ["weight", "data", "packed", "codes", "blocks", "proj", "W_q", "kernel"].contains(
      where: component.holds)
  }
}

extension DType {
  /// Whether libraries keep codes in it.
  package var mayBeCodes: Bool {
    switch self {
    case .f4, .f6e2m3, .f6e3m2, .u8, .i8, .f8e5m2, .f8e4m3, .f8e8m0, .f8e4m3fnuz, .f8e5m2fnuz, .i16, .u16, .i32, .u32:
      true
    case .bool, .f16, .bf16, .f32, .c64, .f64, .i64, .u64: false
    }
  }
}

extension String {
  /// Whether the bytes of `part` are somewhere in it.
  fileprivate func holds(_ part: String) -> Bool {
    let (bytes, wanted) = (Array(utf8), Array(part.utf8))
    guard bytes.count >= wanted.count else { return false }
    return (0...bytes.count - wanted.count).contains { bytes[$0...].starts(with: wanted) }
  }
}

/// What follows the last dot of a tensor's name; all of it without one.
func lastComponent(of name: String) -> String {
  guard let dot = name.utf8.lastIndex(of: UInt8(ascii: ".")) else { return name }
  return String(name[name.utf8.index(after: dot)...])
}

/// What precedes the last dot of a tensor's name; nothing without one.
func module(of name: String) -> String {
  guard let dot = name.utf8.lastIndex(of: UInt8(ascii: ".")) else { return "" }
  return String(name[..<dot])
}
