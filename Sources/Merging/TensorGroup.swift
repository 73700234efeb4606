import TMPackByteIO
import TMPackTensorKit

/// A tensor of the base with those of the experts that hold it in the same dtype and shape.
///
/// Elements are given in binary64. For use by one thread.
package struct TensorGroup {
  /// An expert that holds the tensor.
  package struct Member {
    /// In declaration order among all experts.
    package let index: Int
    let expert: MergeSources.Expert
    let elements: StoredElements

    package var name: String { expert.name }
  }

  /// Some elements, of the base and of every member, side by side.
  package struct Chunk {
    /// Which elements of the tensor.
    package let range: Range<Int>
    package let base: UnsafeBufferPointer<Double>
    /// One for each member: its own elements, or their difference from the base's.
    package let members: [UnsafeMutableBufferPointer<Double>]
    /// Room for as many elements, for what is to be written. Its content is arbitrary.
    package let result: UnsafeMutableBufferPointer<Double>

    package var count: Int { range.count }
  }

  package let info: TensorInfo
  package let format: FloatFormat
  package let base: StoredElements
  /// At least one; in declaration order.
  package let members: [Member]

  package var count: Int { info.shape.elementCount }
  package var names: [String] { members.map(\.name) }

  /// The tensor as one matrix of `[d₀, rest]`; nil for fewer than two dimensions.
  package var matrix: (rows: Int, columns: Int)? {
    let dimensions = info.shape.dimensions
    guard dimensions.count >= 2 else { return nil }
    return (dimensions[0], count / dimensions[0])
  }

  /// Whether every member has the base's own bytes. Memory: two of the tensors.
  package func equalsBase() throws(StorageError) -> Bool {
    let base = try base.source.bytes(of: info)
    for member in members {
      let own = try located(expert: member.name) { () throws(StorageError) in
        try member.elements.source.bytes(of: member.elements.info)
      }
      guard base.hasSameBytes(as: own) else { return false }
    }
    return true
  }

  /// Goes through all elements once, in order.
  ///
  /// Memory: members + 2 times the elements of a chunk, at most 16 MiB in all unless `multiple` asks for more; a chunk of few
  /// members stays in a core's cache.
  /// - Parameters:
  ///   - multiple: every chunk but the last has a multiple of this many elements.
  ///   - body: may change the members' elements in the chunk.
  package func forEachChunk(
    ofMultiple multiple: Int = 1, _ body: (Chunk) throws(StorageError) -> Void
  ) throws(StorageError) {
    try forEachChunk(multiple, subtractingBase: false, body)
  }

  /// `forEachChunk` with the members' task vectors, θₜ − θ₀, in place of their elements.
  package func forEachTaskVectorChunk(
    ofMultiple multiple: Int = 1, large: Bool = false, _ body: (Chunk) throws(StorageError) -> Void
  ) throws(StorageError) {
    try forEachChunk(multiple, subtractingBase: true, large: large, body)
  }

  /// - Parameter large: whether chunks are those that sums over chunks have always been of.
  private func forEachChunk(
    _ multiple: Int, subtractingBase: Bool, large: Bool = false, _ body: (Chunk) throws(StorageError) -> Void
  ) throws(StorageError) {
    let panels = members.count + 2
    // `InnerProducts` forms its sums of blocks of 1024: where chunks are of whole blocks, their length does not matter.
    let isSmall = !large && panels <= 32
    let room = min(
      count, isSmall ? max(1 << 12, (1 << 16) / panels & ~1023) : max(1 << 12, min(1 << 16, (1 << 21) / panels)))
    let capacity = min(count, (room + multiple - 1) / multiple * multiple)
    let memory = UnsafeMutableBufferPointer<Double>.allocate(capacity: panels * capacity)
    memory.initialize(repeating: 0)
    defer { memory.deallocate() }
    var begin = 0
    while begin < count {
      let range = begin..<min(begin + capacity, count)
      let parts = (0..<panels).map {
        UnsafeMutableBufferPointer(rebasing: memory[$0 * capacity..<$0 * capacity + range.count])
      }
      let baseElements = parts[panels - 2]
      try base.read(range, into: baseElements)
      for (member, part) in zip(members, parts) {
        try located(expert: member.name) { () throws(StorageError) in try member.elements.read(range, into: part) }
        if subtractingBase {
          part.subtract(base: UnsafeBufferPointer(baseElements))
        }
      }
      try body(
        Chunk(
          range: range, base: UnsafeBufferPointer(baseElements), members: Array(parts.prefix(members.count)),
          result: parts[panels - 1]))
      begin = range.upperBound
    }
  }
}
