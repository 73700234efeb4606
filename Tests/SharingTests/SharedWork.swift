import TMPackCheckpoints
import TMPackJournal
import TMPackPacking
import TMPackParallel
import TMPackSharing
import TestSupport

/// A packing that is done in several ways, which must all give the same bytes.
struct SharedWork {
  let packer: Packer
  let base: Checkpoint
  let experts: [ExpertInput]
  let folder: TemporaryFolder

  func pack() throws -> [UInt8] {
    _ = try packer.pack(base: base, experts: experts, to: folder("whole"), replacing: true)
    return try contents(folder("whole"))
  }

  func tasks() throws -> TaskList { try TaskList(packer, base: base, experts: experts) }

  @discardableResult
  func run(_ index: Int, of count: Int, _ packer: Packer? = nil) throws -> ShareSummary {
    try (packer ?? self.packer).run(
      TaskShare(index, of: count), of: tasks(), base: base, experts: experts, to: part(index))
  }

  func part(_ index: Int) -> String { folder("\(index).part") }

  func removeParts() { for name in folder.names where name.hasSuffix(".part") { removeFile(folder(name)) } }

  func join(_ packer: Packer? = nil) throws -> [UInt8] {
    let tasks = try tasks()
    let parts = try PartSet(folder.names.filter { $0.hasSuffix(".part") }.map { folder($0) }, of: tasks)
    _ = try (packer ?? self.packer).join(
      parts, of: tasks, base: base, experts: experts, to: folder("joined"), replacing: true)
    return try contents(folder("joined"))
  }

  func with(threads: Int) -> Packer {
    Packer(
      sharedModel: packer.sharedModel, rules: packer.rules, rate: packer.rate, isDetached: packer.isDetached,
      storesCorrections: packer.storesCorrections, level: packer.level, pipeline: OrderedPipeline(threads: threads),
      options: packer.options)
  }

  /// A layer whose experts' matrices are tensors of three dimensions; one of the matrices does not change.
  static func stacks(_ packer: Packer, in folder: TemporaryFolder) throws -> SharedWork {
    func model(_ name: String, _ seed: UInt64?) throws -> Checkpoint {
      let tensors = try [("down", [6, 24, 40]), ("up", [4, 48, 32]), ("gate", [6, 24])].map { name, shape in
        let count = shape.reduce(1, *)
        var values = noise(count, seed: UInt64(count))
        let (rows, columns) = (shape[shape.count - 2], shape[shape.count - 1])
        if let seed {
          for matrix in 1..<max(2, count / rows / columns) {
            let own = seed + UInt64(matrix)
            let (left, right) = (noise(rows, scale: 0.3, seed: own), noise(columns, seed: own + 50))
            for place in 0..<min(rows * columns, count - matrix * rows * columns) {
              values[matrix * rows * columns + place] += left[place / columns] * right[place % columns]
            }
          }
        }
        return try tensor(name, .f32, shape, values)
      }
      return try writeModel(tensors, to: folder("\(name).safetensors"))
    }
    return SharedWork(
      packer: packer, base: try model("base", nil),
      experts: try [("a", 100), ("b", 200)].map { try ExpertInput(name: $0, checkpoint: model($0, $1)) },
      folder: folder)
  }

  /// The real checkpoints of `Fixtures/mhcnuggets`.
  static func fixtures(_ packer: Packer, in folder: TemporaryFolder) throws -> SharedWork {
    func open(_ name: String) throws -> Checkpoint {
      try Checkpoint.open("\(packageRoot)/Fixtures/mhcnuggets/\(name).safetensors")
    }
    return SharedWork(
      packer: packer, base: try open("base"),
      experts: try [("a66", "HLA-A6601_BA"), ("b44", "HLA-B4402_BA"), ("c07", "HLA-C0701_BA")].map {
        try ExpertInput(name: $0, checkpoint: open($1))
      }, folder: folder)
  }
}
