import TMPackByteIO
import TMPackTensorKit

/// Whether what is read of a tensor in pieces, and in spans, is what is read of it as a whole; true where it has neither.
package func hasSameParts(_ source: any TensorSource, _ info: TensorInfo) throws -> Bool {
  let whole = try source.bytes(of: info).withBytes { [UInt8]($0) }
  let count = whole.count
  if try source.piece(0..<0, of: info) != nil {
    for range in [0..<count, 0..<count / 2, count / 3..<count, count / 3..<count / 2, count..<count] {
      guard try source.piece(range, of: info) == Array(whole[range]) else { return false }
    }
  }
  guard let spanned = try source.spanned(info) else { return true }
  for reader in [nil, try spanned.opened(of: count)] {
    for range in [0..<count, 0..<count / 2, count / 3..<count, count / 3..<count / 2] {
      let filled = try [UInt8](count: range.count) { target throws(StorageError) in
        try spanned.fill(target, from: range.lowerBound, of: count, by: reader)
      }
      guard filled == Array(whole[range]) else { return false }
    }
  }
  return true
}

/// Whether a source has pieces or spans of a tensor.
package func hasParts(_ source: any TensorSource, _ info: TensorInfo) throws -> Bool {
  try source.piece(0..<0, of: info) != nil || source.spanned(info) != nil
}
