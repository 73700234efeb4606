import TMPackByteIO
import TMPackTensorKit

extension TensorSource {
  /// The model with the matrices of a stack as tensors of their own, where families of transformers have them so on disk, and an adapter
  /// was made for those; nil where no family has more of the names as tensors of this model than the names as they are.
  ///
  /// - Parameters:
  ///   - names: of tensors, as an adapter has them.
  ///   - architectures: as of `Alignment.find`: what they say goes first.
  package func onDisk(having names: [String], architectures: [String] = []) throws(StorageError) -> Alignment? {
    let missing = names.filter { tensor(named: $0) == nil }
    guard !missing.isEmpty else { return nil }
    let table = NameTable.shared
    var best: (count: Int, alignment: Alignment)?
    for naming in architectures.flatMap({ table.namings[$0] ?? [] }) + table.all {
      guard let parts = StackedNames(missing, by: naming, in: self), parts.count > best?.count ?? 0,
        let alignment = try parts.alignment(of: tensors, naming)
      else { continue }
      best = (parts.count, alignment)
      if parts.count == missing.count { break }
    }
    return best?.alignment
  }
}

/// Names of single matrices, by the tensors that they are in.
private struct StackedNames {
  private struct Stack {
    let info: TensorInfo
    let fusion: NameTable.Fusion
    var names: [NameRoles.Piece: String] = [:]
  }

  private var stacks: [ExactString: Stack] = [:]
  /// Of all that were given.
  private(set) var count = 0

  /// nil where none is in a tensor of the model.
  init?(_ names: [String], by naming: NameTable.Naming, in model: any TensorSource) {
    for name in names {
      let (role, fusion) = naming.role(of: name)
      guard case .piece(let whole, let part, let number?) = role, let fusion, fusion.kind == .stack,
        let info = model.tensor(named: whole)
      else { continue }
      stacks[ExactString(whole), default: Stack(info: info, fusion: fusion)].names[.init(part: part, number: number)] =
        name
      count += 1
    }
    if count == 0 { return nil }
  }

  /// nil where a tensor is not such a stack.
  func alignment(of tensors: [TensorInfo], _ naming: NameTable.Naming) throws(StorageError) -> Alignment? {
    var arrangements: [TensorArrangement] = []
    for info in tensors where stacks[ExactString(info.name)] == nil {
      arrangements.append(try TensorArrangement(info, named: info.name))
    }
    for stack in stacks.values {
      guard let pieces = try Self.pieces(of: stack) else { return nil }
      arrangements += pieces
    }
    arrangements.sort { $0.info.name.precedesInBytes($1.info.name) }
    return Alignment(arrangements, of: tensors, naming)
  }

  /// Every matrix of a stack, also those that nobody has named.
  private static func pieces(of stack: Stack) throws(StorageError) -> [TensorArrangement]? {
    let (info, axis, parts) = (stack.info, stack.fusion.axis, stack.fusion.sources.count)
    guard let height = info.shape.dimensions.first, info.shape.dimensions.count == 3 else { return nil }
    var dimensions = Array(info.shape.dimensions.dropFirst())
    guard dimensions[axis].isMultiple(of: parts) else { return nil }
    dimensions[axis] /= parts
    var pieces: [TensorArrangement] = []
    for number in 0..<height {
      for part in 0..<parts {
        let name = stack.names[.init(part: part, number: number)] ?? "\(info.name).\(number).\(part)"
        let piece = try TensorInfo(name: name, dtype: info.dtype, shape: Shape(dimensions))
        guard
          let place = TensorPart(of: piece, in: info, axis: axis, before: part * dimensions[axis], number: number),
          let arrangement = TensorArrangement(piece, [place.slice(of: info)])
        else { return nil }
        pieces.append(arrangement)
      }
    }
    let numbers = stack.names.keys.compactMap(\.number)
    return numbers.allSatisfy { $0 < height } ? pieces : nil
  }
}
