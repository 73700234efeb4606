import TMPackByteIO
import TMPackPacking
import TMPackTensorKit

/// What tensors have in common that are expected to fare alike: one stratum of a sample.
package struct TensorClass: Hashable, Sendable {
  /// The name without its numbers: those of layers, mostly.
  package let pattern: ExactString
  package let dtype: DType
  package let shape: Shape
  /// nil for a tensor that is stored whole.
  package let treatment: TensorTreatment?
  let isTied: Bool
  /// Whether it was seen to differ from the reference, and whether that of another expert was.
  package let differs: Bool
  let othersDiffer: Bool
  /// Whether an earlier expert has the same bytes, as far as can be seen: large payloads are then stored already.
  let isRepeated: Bool

  package init(
    _ info: TensorInfo, treatment: TensorTreatment? = nil, isTied: Bool = false, differs: Bool = true,
    othersDiffer: Bool = true, isRepeated: Bool = false
  ) {
    pattern = ExactString(Self.pattern(of: info.name))
    dtype = info.dtype
    shape = info.shape
    self.treatment = treatment
    self.isTied = isTied
    self.differs = differs
    self.othersDiffer = othersDiffer
    self.isRepeated = isRepeated
  }

  private static func pattern(of name: String) -> String {
    var text = ""
    var isInNumber = false
    for scalar in name.unicodeScalars {
      let isDigit = ("0"..."9").contains(scalar)
      if !isDigit { text.unicodeScalars.append(scalar) } else if !isInNumber { text += "#" }
      isInNumber = isDigit
    }
    return text
  }
}

/// Some tensors of each class, chosen by their names alone: the same in every run.
package struct TensorSample: Sendable {
  /// Tensors of each class.
  package let populations: [Int]
  /// The sampled ones, in the order of their names, with their class.
  package let members: [(info: TensorInfo, stratum: Int)]
  /// Elements of the sampled tensors, as a share of all.
  package let share: Double

  /// A class of at most so many elements is taken whole.
  private static let smallClass = 1 << 18
  private static let fewest = 2

  /// - Parameters:
  ///   - tensors: sorted by name.
  ///   - share: of the tensors of each class, of which at least two are taken, if there are two.
  package init(of tensors: [(info: TensorInfo, class: TensorClass)], share: Double) {
    var order: [TensorClass] = []
    var classes: [TensorClass: [TensorInfo]] = [:]
    for (info, key) in tensors {
      if classes[key] == nil { order.append(key) }
      classes[key, default: []].append(info)
    }
    var members: [(info: TensorInfo, stratum: Int)] = []
    for (stratum, key) in order.enumerated() {
      let all = classes[key]!
      let elements = all.reduce(0.0) { $0 + Double($1.shape.elementCount) }
      let wanted =
        elements <= Double(Self.smallClass)
        ? all.count : max(Self.fewest, Int((share * Double(all.count)).rounded(.up)))
      members += Self.spread(min(wanted, all.count), of: all).map { ($0, stratum) }
    }
    populations = order.map { classes[$0]!.count }
    self.members = members.sorted { $0.info.name.precedesInBytes($1.info.name) }
    let all = tensors.reduce(0.0) { $0 + Double($1.info.shape.elementCount) }
    self.share = all > 0 ? members.reduce(0.0) { $0 + Double($1.info.shape.elementCount) } / all : 1
  }

  /// One of each of `count` equal runs, at random: early and late layers differ, and none is always left out.
  private static func spread(_ count: Int, of infos: [TensorInfo]) -> [TensorInfo] {
    if count == infos.count { return infos }
    let numbered = infos.map { (info: $0, numbers: numbers(in: $0.name)) }.sorted { left, right in
      left.numbers.lexicographicallyPrecedes(right.numbers) { ($0.count, $0) < ($1.count, $1) }
    }
    return (0..<count).map { run in
      let start = run * infos.count / count
      let end = (run + 1) * infos.count / count
      return numbered[start + Int(seed(infos[0].name, run) % UInt64(end - start))].info
    }
  }

  /// The runs of digits, without leading zeros.
  private static func numbers(in name: String) -> [String] {
    name.split { !$0.isASCII || !$0.isNumber }.map { String($0.drop { $0 == "0" }) }
  }

  /// FNV-1a, mixed once more: only to be the same everywhere.
  private static func seed(_ name: String, _ run: Int) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    hash = (hash ^ UInt64(run)) &* 0x9E37_79B9_7F4A_7C15
    return (hash ^ hash >> 29) &* 0xBF58_476D_1CE4_E5B9 >> 20
  }
}
