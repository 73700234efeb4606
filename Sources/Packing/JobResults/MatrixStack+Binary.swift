import TMPackArchiveFormat
import TMPackByteIO
import TMPackTensorKit

extension ByteReader {
  mutating func stack(of info: TensorInfo) throws(StorageError) -> MatrixStack {
    guard let stack = MatrixStack(try stackDimensions(), of: info.shape.elementCount),
      stack.count <= Limits.stackedMatrices
    else {
      throw StorageError(.malformed, "a stack is not of its tensor", offset: offset)
    }
    return stack
  }

  private mutating func stackDimensions() throws(StorageError) -> [Int] {
    var dimensions: [Int] = []
    for _ in 0..<5 { dimensions.append(try count()) }
    return dimensions
  }

  mutating func stackRanks() throws(StorageError) -> StackRanks {
    let dimensions = try stackDimensions()
    let count = try count()
    try Limits.check(count, atMost: Limits.stackedMatrices, "the matrices of a stack")
    var ranks: [Int] = []
    for _ in 0..<count { ranks.append(Int(try integer(UInt32.self))) }
    guard let ranks = StackRanks(dimensions, ranks: ranks) else {
      throw StorageError(.malformed, "a stack is not of its tensor", offset: offset)
    }
    return ranks
  }
}

extension ByteWriter {
  mutating func stack(_ stack: MatrixStack) {
    for dimension in stack.dimensions { integer(UInt64(dimension)) }
  }

  mutating func stackRanks(_ ranks: StackRanks) {
    for dimension in ranks.dimensions { integer(UInt64(dimension)) }
    integer(UInt64(ranks.ranks.count))
    for rank in ranks.ranks { integer(UInt32(rank)) }
  }
}
