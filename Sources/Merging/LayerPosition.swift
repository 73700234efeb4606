/// Where a tensor is in a network's stack of blocks, as its name says: `encoder.layer.3.output.dense.weight` is in block 3.
package struct LayerPosition: Sendable, Hashable {
  /// What the names of the stack's tensors begin with, such as `encoder.layer`.
  package let stack: String
  /// From 0.
  package let index: Int
  /// Blocks in the stack, at least 2.
  package let count: Int

  /// 0 in the first block, 1 in the last.
  package var depth: Double { Double(index) / Double(count - 1) }
}

/// The stacks of blocks in a network, found by the names of its tensors.
///
/// A name's block is its first component, between dots, that is a number; what comes before is the stack. It is one only
/// if its numbers are 0, 1, … without a gap, and at least two: so a head whose layers are `classifier.0` and
/// `classifier.3` has no depth of its own. An encoder and a decoder are two stacks.
package struct LayerPositions: Sendable {
  /// Blocks of each stack.
  private let counts: [String: Int]

  /// By name.
  var stacks: [(name: String, count: Int)] {
    counts.map { ($0.key, $0.value) }.sorted { $0.0.precedesInBytes($1.0) }
  }

  package init(names: some Sequence<String>) {
    var blocks: [String: Set<Int>] = [:]
    for name in names {
      if let (stack, index) = Self.block(in: name) { blocks[stack, default: []].insert(index) }
    }
    counts = blocks.compactMapValues { indices in
      indices.count >= 2 && indices.max() == indices.count - 1 ? indices.count : nil
    }
  }

  /// nil for tensors outside of the stacks: embeddings, heads, the last normalisation.
  package subscript(name: String) -> LayerPosition? {
    guard let (stack, index) = Self.block(in: name), let count = counts[stack], index < count else { return nil }
    return LayerPosition(stack: stack, index: index, count: count)
  }

  private static func block(in name: String) -> (stack: String, index: Int)? {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    let isNumber = { (part: Substring) in part.utf8.allSatisfy { (48...57).contains($0) } }
    // A number at the end is no block: nothing is in it. One with too many digits is none either.
    guard let place = parts.dropLast().firstIndex(where: { !$0.isEmpty && isNumber($0) }), let index = Int(parts[place])
    else { return nil }
    return (parts[..<place].joined(separator: "."), index)
  }
}
