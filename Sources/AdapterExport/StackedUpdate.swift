import TMPackByteIO
import TMPackFactors
import TMPackModels
import TMPackReading
import TMPackTensorKit

/// What a parameter of a module gets that holds a matrix for each of a layer's experts: peft's `target_parameters`.
///
/// A has the components of expert after expert, B those of all experts side by side, component after component.
struct StackedUpdate: Sendable {
  /// As the model in memory names it.
  let module: String
  let parameter: String
  /// [E, m, n] in memory.
  let info: TensorInfo
  /// Whether its matrices are [inputs, outputs].
  let isTransposed: Bool
  /// The archive's tensors that it is made of.
  let parts: [StackPart]
  /// Of each matrix, before any padding.
  let rank: Int

  var name: String { "\(module).\(parameter)" }
  var count: Int { info.shape.dimensions[0] }
  var outputs: Int { info.shape.dimensions[isTransposed ? 2 : 1] }
  var inputs: Int { info.shape.dimensions[isTransposed ? 1 : 2] }
}

/// A tensor of the archive as a part of a parameter: all of it, or of one of its matrices.
struct StackPart: Sendable {
  let tensor: TensorInfo
  /// nil for all of it.
  let slice: StackSlice?
}

/// A product whose rows and columns are some of a matrix's.
struct PlacedProduct {
  let product: LowRankProduct
  let row: (Int) -> Int
  let column: (Int) -> Int
}

extension AdapterExport {
  /// Updates of parameters, and the archive's tensors that they hold.
  struct StackedUpdates {
    var updates: [StackedUpdate] = []
    var held: Set<ExactString> = []

    init() {}

    /// - Parameters:
    ///   - shared: the shared model's tensors.
    ///   - isPerExpert: whether tensors of one matrix stay by themselves.
    init(
      _ mix: Mix, _ shared: [TensorInfo], _ architecture: ModelArchitecture, isPerExpert: Bool
    ) throws(StorageError) {
      // A model of no family that is known is taken to be in memory as it is here.
      let inMemory = try? mix.inMemory(of: architecture.names) as? AlignedSource
      let areTransposed = WeightOrientations.areStacksTransposed(ofType: architecture.modelType)
      for info in inMemory?.tensors ?? mix.tensors {
        guard info.shape.dimensions.count == 3, info.dtype.floatFormat != nil,
          let dot = info.name.lastIndex(of: "."),
          AdaptableModules.lastComponent(String(info.name[..<dot])) == "experts"
        else { continue }
        let parts: [StackPart]
        if let inMemory {
          if let whole = inMemory.original(of: info) {
            parts = [StackPart(tensor: whole, slice: nil)]
          } else if let placed = inMemory.placements(of: info) {
            parts = placed.map { StackPart(tensor: $0.part, slice: $0.place) }
          } else {
            continue
          }
        } else {
          parts = [StackPart(tensor: info, slice: nil)]
        }
        if isPerExpert, parts.contains(where: { $0.slice != nil }) { continue }
        let areShared = parts.allSatisfy { part in
          shared.index(ofTensor: part.tensor.name).map { shared[$0].matches(part.tensor) } ?? false
        }
        guard areShared, let rank = Self.rank(of: parts, info, in: mix), rank > 0 else { continue }
        updates.append(
          StackedUpdate(
            module: String(info.name[..<dot]), parameter: String(info.name[info.name.index(after: dot)...]), info: info,
            isTransposed: areTransposed, parts: parts, rank: rank))
        for part in parts { held.insert(ExactString(part.tensor.name)) }
      }
      updates.sort { a, b in
        guard a.module.hasSameBytes(as: b.module) else { return a.module.precedesInBytes(b.module) }
        return Self.place(of: a.parameter) < Self.place(of: b.parameter)
      }
    }

    /// In the order in which modules of transformers 5.24 have their parameters, by which peft wraps them.
    private static func place(of parameter: String) -> Int { parameter.hasPrefix("down") ? 1 : 0 }

    /// The largest of a matrix; nil where something else than products is added.
    private static func rank(of parts: [StackPart], _ info: TensorInfo, in mix: Mix) -> Int? {
      var ranks = [Int](repeating: 0, count: info.shape.dimensions[0])
      for part in parts {
        guard let addends = mix.addends(of: part.tensor.name) else { return nil }
        for (_, entry) in addends where entry.factor.kind != .dropped {
          if let slice = part.slice, let rank = entry.factor.form?.productRank {
            ranks[slice.matrix] += rank
          } else if part.slice == nil, let products = entry.factor.form?.productRanks(in: part.tensor.shape) {
            for (matrix, rank) in products { ranks[matrix] += rank }
          } else {
            return nil
          }
        }
      }
      return ranks.max()
    }
  }

  /// A and B of an update, with zeros up to a rank.
  ///
  /// Memory: both, and the factors of one tensor.
  func sides(of update: StackedUpdate, rank: Int) throws(StorageError) -> (a: [Float], b: [Float]) {
    let (count, outputs, inputs) = (update.count, update.outputs, update.inputs)
    var a = [Float](repeating: 0, count: count * rank * inputs)
    var b = [Float](repeating: 0, count: outputs * rank * count)
    var used = [Int](repeating: 0, count: count)
    for part in update.parts {
      try located(file: mix.label, tensor: part.tensor.name) { () throws(StorageError) in
        for (matrix, placed) in try products(of: part, in: update.info.shape) {
          let product = placed.product.balanced()
          for k in 0..<product.rank {
            let component = used[matrix] + k
            for i in 0..<product.rows {
              let (value, row) = (product.scale * product.left[i * product.rank + k], placed.row(i))
              if update.isTransposed {
                a[(matrix * rank + component) * inputs + row] = value
              } else {
                b[(row * rank + component) * count + matrix] = value
              }
            }
            for j in 0..<product.columns {
              let (value, column) = (product.right[k * product.columns + j], placed.column(j))
              if update.isTransposed {
                b[(column * rank + component) * count + matrix] = value
              } else {
                a[(matrix * rank + component) * inputs + column] = value
              }
            }
          }
          used[matrix] += product.rank
        }
      }
    }
    return (a, b)
  }

  private func products(
    of part: StackPart, in shape: Shape
  ) throws(StorageError) -> [(matrix: Int, PlacedProduct)] {
    var products: [(matrix: Int, PlacedProduct)] = []
    for (expert, entry) in mix.addends(of: part.tensor.name) ?? [] where entry.factor.kind != .dropped {
      guard case .factor(let factor) = try reconstructor.part(entry, ofExpert: expert.position) else {
        preconditionFailure("a lossy entry decodes to a factor")
      }
      if let slice = part.slice {
        guard let product = factor.product(weight: expert.weight) else { preconditionFailure("was looked at before") }
        products.append(
          (
            slice.matrix,
            PlacedProduct(
              product: product, row: { $0 + slice.rows.lowerBound }, column: { $0 + slice.columns.lowerBound })
          ))
      } else if let (stack, matrices) = factor.stackedProducts(weight: expert.weight) {
        let (rows, columns) = (shape.dimensions[1], shape.dimensions[2])
        for (number, product) in matrices.enumerated() {
          guard let product else { continue }
          let start = stack.extent(of: number).lowerBound + stack.rowStart(0, of: number)
          let (matrix, first) = (start / (rows * columns), start % (rows * columns))
          let step = stack.rowStride / columns
          products.append(
            (
              matrix,
              PlacedProduct(
                product: product, row: { first / columns + $0 * step }, column: { first % columns + $0 * stack.inner })
            ))
        }
      } else {
        preconditionFailure("was looked at before")
      }
    }
    return products
  }
}
