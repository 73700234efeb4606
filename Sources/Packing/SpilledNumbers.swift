import TMPackByteIO
import TMPackJournal

/// Numbers on disk, to be read again when they are wanted: the end of a journal's record, or scratch space.
package struct SpilledNumbers<Number: BitwiseCopyable & Sendable>: Sendable {
  private let reader: any PositionalReader
  private let offset: UInt64
  private let count: Int

  package init(_ numbers: UnsafeBufferPointer<Number>, in scratch: ScratchFile) throws(StorageError) {
    reader = scratch
    offset = try scratch.append(UnsafeRawBufferPointer(numbers))
    count = numbers.count
  }

  /// - Parameters:
  ///   - parts: the numbers, one part after the other.
  ///   - record: what ends with them; nil puts them into `scratch`.
  package init(_ parts: [[Number]], in record: StoredJob?, or scratch: ScratchFile) throws(StorageError) {
    guard let record else {
      self = try Array(parts.joined()).withUnsafeBufferPointer { numbers throws(StorageError) in
        try SpilledNumbers(numbers, in: scratch)
      }
      return
    }
    reader = record.reader
    count = parts.reduce(0) { $0 + $1.count }
    offset = record.offset + record.size - UInt64(count * MemoryLayout<Number>.size)
  }

  package func loaded() throws(StorageError) -> [Number] { try loaded(0..<count) }

  package func loaded(_ range: Range<Int>) throws(StorageError) -> [Number] {
    precondition(range.upperBound <= count)
    return try reader.read(at: offset + UInt64(range.lowerBound * MemoryLayout<Number>.size), count: range.count)
  }
}
