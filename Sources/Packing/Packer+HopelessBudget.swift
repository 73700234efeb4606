import TMPackArchiveFormat
import TMPackByteIO
import TMPackCheckpoints
import TMPackTensorKit

extension Packer {
  private static let sampledTensors = 256
  private static let pieceBytes = 128 << 10
  /// A model that is merged, or that has runs of equal numbers where nothing was looked at, may take less than its sample.
  private static let certainShare = 0.5

  /// Refuses a budget that the shared model alone exceeds by far, going by pieces of its large tensors: before anything is read
  /// as a whole. What exceeds it by little shows once the shared model is there.
  func refuseHopelessBudget(sharing model: Checkpoint) throws(StorageError) {
    guard case .archiveBytes(let budget) = rate?.target, !isDetached else { return }
    let source = model.source
    let ties = source.ties
    let large = source.tensors.filter { $0.byteCount >= 2 * Self.pieceBytes && ties[$0.name] == nil }
    guard large.reduce(0, { $0 + Double($1.byteCount) }) * Self.certainShare > Double(budget) else { return }
    var seen: Set<[UInt8]> = []
    var bytes = 0.0
    let step = max(1, large.count / Self.sampledTensors)
    for index in stride(from: 0, to: large.count, by: step) {
      let info = large[index]
      // Whole elements of every dtype.
      let start = info.byteCount / 2 / 64 * 64
      guard let piece = try source.piece(start..<start + Self.pieceBytes, of: info) else { return }
      guard seen.insert(piece).inserted else { continue }
      let stored =
        switch sharedForm {
        case .compressed(let level):
          piece.withUnsafeBytes { EncodedPayload(tensor: $0, dtype: info.dtype, level: level).storedSize }
        case .mappable: piece.count
        case .detached: 0
        }
      let represented = large[index..<min(index + step, large.count)].reduce(0) { $0 + Double($1.byteCount) }
      bytes += represented * Double(stored) / Double(Self.pieceBytes)
    }
    guard bytes * Self.certainShare > Double(budget) else { return }
    throw StorageError(
      .invalidArgument,
      "the budget of \(budget) bytes is of the whole archive, of which the shared model alone takes about \(UInt64(bytes))"
    )
  }
}
