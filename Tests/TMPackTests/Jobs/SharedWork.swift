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
