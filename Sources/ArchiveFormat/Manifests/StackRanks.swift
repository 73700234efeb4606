import TMPackByteIO
import TMPackJSON
import TMPackTensorKit

/// The members `stack` and `ranks` of an entry: which matrices a tensor is taken as, and of what rank each is (TMP-6-28).
package struct StackRanks: Sendable, Hashable {
  /// Five numbers.
  package let dimensions: [Int]
  /// One for each matrix; 0 for one without a low-rank part.
  package let ranks: [Int]

  package init(_ stack: MatrixStack, ranks: [Int]) {
    precondition(ranks.count == stack.count, "a rank for each matrix")
    dimensions = stack.dimensions
    self.ranks = ranks
  }

  /// From a record; nil unless they are of a stack.
  package init?(_ dimensions: [Int], ranks: [Int]) {
    guard dimensions.count == 5,
      let stack = MatrixStack(
        dimensions, of: dimensions.reduce(1) { $0.multipliedReportingOverflow(by: $1).partialValue }),
      stack.count == ranks.count
    else { return nil }
    self.init(stack, ranks: ranks)
  }

  init(_ members: EntryMembers) throws(StorageError) {
    dimensions = try EntryMembers.required(members.stack, .stack)
    ranks = try EntryMembers.required(members.ranks, .ranks)
  }

  /// The member `dense`: the numbers of the matrices that have, or also have, every element.
  func denseMatrices(_ members: EntryMembers) throws(StorageError) -> [Int] {
    guard let numbers = members.dense else { return [] }
    let isAscending = zip(numbers, numbers.dropFirst()).allSatisfy { $0 < $1 }
    guard let last = numbers.last, last < ranks.count, isAscending else {
      throw StorageError(.malformed, "the dense matrices of a stack are not some of its matrices in ascending order")
    }
    return numbers
  }

  func write(to entry: inout JSONObject) {
    entry["stack"] = .array(dimensions.map { JSONValue($0) })
    entry["ranks"] = .array(ranks.map { JSONValue($0) })
  }

  /// - Precondition: they were checked.
  package var total: Int { ranks.reduce(0, +) }

  /// - Parameter hasOthers: whether there is something else than low-rank parts.
  /// - Throws: `malformed` unless they are of a tensor of that shape.
  package func checked(against shape: Shape, hasOthers: Bool) throws(StorageError) -> MatrixStack {
    guard shape.dimensions.count >= 3, let stack = MatrixStack(dimensions, of: shape.elementCount),
      ranks.count == stack.count, ranks.allSatisfy({ $0 <= stack.rows && $0 <= stack.columns }),
      hasOthers || ranks.contains(where: { $0 > 0 })
    else {
      throw StorageError(.malformed, "the stack \(dimensions) with \(ranks.count) ranks does not fit shape \(shape)")
    }
    // Bounded by the sides, of which there are as many as matrices.
    _ = try stack.count.multiplied(by: min(stack.rows, stack.columns), "the components of a stack")
    return stack
  }

  /// What is decoded to integers.
  ///
  /// - Parameter dense: of how many matrices every element is.
  func symbolCount(in shape: Shape, dense: Int) throws(StorageError) -> Int {
    guard let stack = MatrixStack(dimensions, of: shape.elementCount) else { return 0 }
    var components = 0
    for rank in ranks { components = try components.adding(rank, "the components of a stack") }
    let products = try components.multiplied(
      by: try stack.rows.adding(stack.columns, "the sides of a matrix"), "the number of symbols")
    return try products.adding(
      try dense.multiplied(by: stack.matrixSize, "the number of symbols"), "the number of symbols")
  }
}
