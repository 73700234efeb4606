import TMPackByteIO
import TMPackTensorKit
import TestSupport

/// Checkpoints to merge: base and experts `a`, `b`, `c`, `d`.
enum MergingModel: String, CaseIterable, Sendable {
  /// Networks of MHCnuggets: LSTM and dense layers, fine-tuned from the base.
  case real
  /// Shapes and values at the edges of the rules: one row, one column, no dimension, no element, halves and doubles,
  /// unchanged tensors, tensors that some experts lack, a kernel and a stack of matrices.
  case odd
  /// Tensors that are read in several chunks, of several sizes of them.
  case long

  struct Paths {
    let base: String
    let experts: [(name: String, path: String)]

    /// With these experts alone; nil for all.
    func keeping(_ names: [String]?) -> Paths {
      Paths(base: base, experts: experts.filter { names?.contains($0.name) ?? true })
    }
  }

  func paths(in folder: TemporaryFolder) throws -> Paths {
    switch self {
    case .real:
      let home = FileTree.join(packageRoot, "Fixtures/mhcnuggets")
      let alleles = ["HLA-A6601_BA", "HLA-B2720_BA", "HLA-B4402_BA", "HLA-C0701_BA"]
      return Paths(
        base: FileTree.join(home, "base.safetensors"),
        experts: zip(["a", "b", "c", "d"], alleles).map { ($0, FileTree.join(home, "\($1).safetensors")) })
    case .odd, .long:
      let base = try tensors(seed: 1, origin: nil)
      try writeModel(base, to: folder("base.safetensors"))
      var experts: [(String, String)] = []
      for (index, name) in ["a", "b", "c", "d"].enumerated() {
        var tensors = try tensors(seed: UInt64(100 * (index + 1)), origin: 1)
        if name == "b" { tensors.removeAll { $0.info.name == "layers.1.some" } }
        if name == "c" { tensors[0] = base[0] }
        try writeModel(tensors, to: folder("\(name).safetensors"))
        experts.append((name, folder("\(name).safetensors")))
      }
      return Paths(base: folder("base.safetensors"), experts: experts)
    }
  }

  private var shapes: [(String, DType, [Int])] {
    self == .long ? [("layers.0.weight", .f32, [311, 409]), ("layers.1.bias", .f32, [70_001])] : Self.oddShapes
  }

  private static let oddShapes: [(String, DType, [Int])] = [
    ("embed.weight", .f32, [37, 24]), ("layers.0.row", .f32, [1, 50]), ("layers.0.column", .f32, [50, 1]),
    ("layers.0.scalar", .f32, []), ("layers.0.none", .f32, [0, 3]), ("layers.0.bias", .f32, [65]),
    ("layers.1.half", .f16, [16, 8]), ("layers.1.double", .f64, [9, 7]), ("layers.1.some", .f32, [12, 12]),
    ("layers.1.kernel", .f32, [6, 5, 2, 2]), ("layers.2.square", .f32, [32, 32]),
    ("layers.2.experts", .f32, [4, 12, 15]),
  ]

  private func tensors(seed: UInt64, origin: UInt64?) throws -> [SampleTensor] {
    try shapes.enumerated().map { index, entry in
      let (name, dtype, shape) = entry
      let count = shape.reduce(1, *)
      var values = noise(count, seed: (origin ?? seed) + UInt64(index))
      if origin != nil {
        let change = noise(count, scale: 0.1, seed: seed + UInt64(index))
        for i in values.indices { values[i] += change[i] }
      }
      return try tensor(name, dtype, shape, values)
    }
  }
}
