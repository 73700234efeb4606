import TMPackArchiveFormat
import TMPackByteIO
import TMPackCheckpoints
import TMPackFactorization
import TMPackMerging
import TMPackPacking
import TMPackParallel
import TMPackReading
import TMPackTensorKit
import Synchronization
import TestSupport
import Testing

/// A tensor of many matrices is packed some matrices at a time: the archive is the one that it gives as a whole.
@Suite struct TensorsInPiecesTests {
  private let folder = TemporaryFolder()

  private static let shape = [34, 512, 1024]
  private static var bytes: Int { 2 * shape.reduce(1, *) }

  /// Zeros but for three matrices, which are of rank one and of two numbers.
  private func stack(seed: UInt64, scale: Float) throws -> MemoryTensorSource {
    let info = try info("experts", .bf16, Self.shape)
    let bytes = TensorBytes(count: info.byteCount) { memory in
      memory.initializeMemory(as: UInt8.self, repeating: 0)
      let elements = memory.bindMemory(to: UInt16.self)
      for matrix in [3, 16, 33] {
        for row in 0..<512 where (row + Int(seed)).isMultiple(of: 3) {
          for column in 0..<1024 where (column + matrix).isMultiple(of: 5) {
            let value = column.isMultiple(of: 2) ? scale : -scale
            elements[matrix * 512 * 1024 + row * 1024 + column] = UInt16(value.bitPattern >> 16)
          }
        }
      }
    }
    return try MemoryTensorSource([(info, bytes)])
  }

  private func models(
    _ view: (any TensorSource) -> any TensorSource
  ) throws -> (base: Checkpoint, expert: Checkpoint) {
    let models = try [("base", UInt64(0), Float(0)), ("own", 1, 0.5)].map { name, seed, scale in
      let path = folder("\(name).safetensors")
      let source = try stack(seed: seed, scale: scale)
      if FileTree.kind(of: path) == nil { try CheckpointDestination(path).write(source) }
      return try Checkpoint.open(path).replacing(view(source))
    }
    return (models[0], models[1])
  }

  private static let packers: [String: @Sendable () throws -> Packer] = [
    "rank": { try packer(.factor(FactorPlan(.lowRank(rank: 2), dtype: .int8))) },
    "detached": { try packer(.factor(FactorPlan(.lowRank(rank: 2), dtype: .int8)), isDetached: true) },
    "error": { try packer(.controlled, RateControl(.error(0.5)), isDetached: true) },
    "lossless": { try packer(.exact) },
    "exact": { try packer(.factor(FactorPlan(.lowRank(rank: 1), dtype: .int8)), storesCorrections: true) },
  ]

  private static func packer(
    _ treatment: TensorTreatment, _ rate: RateControl? = nil, isDetached: Bool = false, storesCorrections: Bool = false
  ) throws -> Packer {
    Packer(
      sharedModel: .merged(BaseModel()), rules: TensorRules(treatment), rate: rate, isDetached: isDetached,
      storesCorrections: storesCorrections, pipeline: OrderedPipeline(threads: 1))
  }

  @Test(arguments: ["rank", "detached", "error", "lossless", "exact"])
  func theArchiveIsTheSame(_ name: String) throws {
    let make = try #require(Self.packers[name])
    let packer = try make()
    func pack(_ view: (any TensorSource) -> any TensorSource) throws -> [UInt8] {
      let (base, expert) = try models(view)
      let path = folder("\(name).tmpack")
      _ = try packer.pack(
        base: base, experts: [ExpertInput(name: "a", checkpoint: expert)], to: path, replacing: true)
      return try ReadableFile(path).bytes(at: 0, count: Int(ReadableFile(path).size))
    }
    let largest = Largest()
    let inPieces = try pack { Pieces(source: $0, largest: largest) }
    let whole = try pack { Whole(source: $0) }
    #expect(inPieces == whole)
    let size = largest.size
    #expect(size > 0 && size < Self.bytes / 8)
  }
}

/// Bytes of the largest piece.
private final class Largest: Sendable {
  private let value = Mutex(0)

  var size: Int { value.withLock { $0 } }

  func add(_ size: Int) { value.withLock { $0 = max($0, size) } }
}

/// A source that has tensors in pieces alone.
private struct Pieces: TensorSource {
  let source: any TensorSource
  let largest: Largest
  var tensors: [TensorInfo] { source.tensors }
  var label: String { source.label }

  func read(_ info: TensorInfo, into _: UnsafeMutableRawBufferPointer) throws(StorageError) {
    throw StorageError(.outOfMemory, "is asked for as a whole", tensor: info.name)
  }

  func piece(_ range: Range<Int>, of info: TensorInfo) throws(StorageError) -> [UInt8]? {
    largest.add(range.count)
    return try source.piece(range, of: info)
  }
}

/// A source that has no pieces.
private struct Whole: TensorSource {
  let source: any TensorSource
  var tensors: [TensorInfo] { source.tensors }
  var label: String { source.label }

  func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try source.read(info, into: destination)
  }
}
