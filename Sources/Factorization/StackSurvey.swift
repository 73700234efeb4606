import TMPackByteIO
import TMPackFactors
import TMPackTensorKit

/// Which matrices a tensor is best taken as, from a sample of it.
///
/// For each way to see it, the singular values of some parts of some matrices say how many components hold a share of the energy,
/// and so how many numbers, of all that a matrix has, low rank would take. The sizes of the parts are alike, so what they leave out
/// hurts all ways alike.
package struct StackSurvey {
  private let shape: Shape
  private let elements: (Range<Int>) throws(StorageError) -> [Float]

  /// - Parameter elements: some of the tensor's, in order.
  package init(_ shape: Shape, elements: @escaping (Range<Int>) throws(StorageError) -> [Float]) {
    self.shape = shape
    self.elements = elements
  }

  /// Of a part of a matrix that is decomposed.
  private static let side = 160
  /// Blocks [d₁, rest] that are looked into, at most.
  private static let blocks = 2
  /// What two halves may cost, of what the whole does.
  private static let advantageOfHalves = 0.95
  private static let shares = [0.5, 0.75]

  /// - Parameter share: what a stack may cost, of what one matrix of [first, rest] does; infinite where that is out of the question.
  /// - Returns: nil for one matrix.
  package func cheapest(costingBelow share: Double) throws(StorageError) -> MatrixStack? {
    let candidates = StackCandidates(shape)
    guard let plain = candidates.plain else { return nil }
    let places = try changedBlocks(plain)
    guard !places.isEmpty else { return share.isInfinite ? plain : nil }
    var blocks: [(place: Int, values: [Float])] = []
    for place in places { blocks.append((place, try elements(plain.extent(of: place)))) }
    let whole = cost(plain, blocks)
    if share.isFinite {
      guard whole < share * (try costOfOne()) else { return nil }
    }
    var best = (stack: plain, cost: Self.advantageOfHalves * whole)
    for stack in candidates.halves {
      let cost = cost(stack, blocks)
      if cost < best.cost { best = (stack, cost) }
    }
    return best.stack
  }

  /// Some of the first dimension's places whose elements change, far from each other.
  private func changedBlocks(_ plain: MatrixStack) throws(StorageError) -> [Int] {
    let count = plain.count
    let wanted = count < 32 ? 1 : Self.blocks
    var found: [Int] = []
    for number in 0..<wanted {
      let start = (2 * number + 1) * count / (2 * wanted)
      for step in 0..<count {
        let place = (start + step) % count
        guard !found.contains(place) else { continue }
        let extent = plain.extent(of: place)
        let head = extent.lowerBound..<min(extent.upperBound, extent.lowerBound + 4096)
        if try elements(head).contains(where: { $0 != 0 }) {
          found.append(place)
          break
        }
      }
    }
    return found
  }

  /// Numbers that low rank takes, as a share of all, of matrices of a stack.
  private func cost(_ stack: MatrixStack, _ blocks: [(place: Int, values: [Float])]) -> Double {
    var (sum, count) = (0.0, 0)
    // All ways divide the blocks of the first dimension.
    let perBlock = stack.count * blocks[0].values.count / stack.elementCount
    for block in blocks {
      for number in block.place * perBlock..<(block.place + 1) * perBlock {
        let start = stack.extent(of: number).lowerBound - block.place * block.values.count
        let cost = cost(rows: stack.rows, columns: stack.columns, longest: Self.side) { i, j in
          block.values[start + stack.rowStart(i, of: number) + j * stack.inner]
        }
        guard let cost else { continue }
        sum += cost
        count += 1
      }
    }
    return count == 0 ? 1 : sum / Double(count)
  }

  /// The same of one matrix of [d₀, rest], a few runs of whose columns are looked at.
  private func costOfOne() throws(StorageError) -> Double {
    guard let (rows, columns) = shape.matrix else { return .infinity }
    let height = min(rows, Self.side)
    let run = min(columns, 64)
    let runs = min(columns / run, 4 * Self.side / run)
    var sample: [Float] = []
    for i in 0..<height {
      let row = i * rows / height * columns
      for k in 0..<runs {
        let start = row + k * (columns / runs)
        sample += try elements(start..<start + run)
      }
    }
    let width = runs * run
    return cost(sample, height, width, rows: rows, columns: columns) ?? .infinity
  }

  private func cost(
    rows: Int, columns: Int, longest: Int, _ element: (Int, Int) -> Float
  ) -> Double? {
    let (height, width) = (min(rows, longest), min(columns, longest))
    let (lines, places) = (Self.spread(height, over: rows), Self.spread(width, over: columns))
    var sample = [Float](repeating: 0, count: height * width)
    for i in 0..<height {
      for j in 0..<width { sample[i * width + j] = element(lines[i], places[j]) }
    }
    return cost(sample, height, width, rows: rows, columns: columns)
  }

  /// So many of the places, in short runs: two matrices whose columns alternate are both seen.
  private static func spread(_ count: Int, over all: Int) -> [Int] {
    let run = 8
    guard count < all else { return Array(0..<all) }
    return (0..<count).map { k in
      min(all - 1, k / run * run * all / count + k % run)
    }
  }

  /// - Parameters:
  ///   - sample: of `height` × `width` elements of a matrix of `rows` × `columns`.
  /// - Returns: nil where the sample has no energy.
  private func cost(
    _ sample: [Float], _ height: Int, _ width: Int, rows: Int, columns: Int
  ) -> Double? {
    let side = min(height, width)
    let energies = sample.withUnsafeBufferPointer {
      MatrixView($0, rows: height, columns: width).squaredSingularValues()
    }
    let energy = energies.reduce(0, +)
    guard energy > 0 else { return nil }
    var costs = 0.0
    for share in Self.shares {
      var (rank, rest) = (0.0, share * energy)
      for value in energies {
        guard value > 0 else { break }
        rank += min(1, rest / value)
        rest -= value
        if rest <= 0 { break }
      }
      // As many as that are not those of a low rank.
      let isLow = side == min(rows, columns) || 4 * rank < Double(side)
      let numbers = rank * (Double(rows) + Double(columns))
      costs += isLow ? min(1, numbers / (Double(rows) * Double(columns))) : 1
    }
    return costs / Double(Self.shares.count)
  }
}
