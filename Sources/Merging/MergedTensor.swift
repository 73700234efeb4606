import TMPackByteIO
import TMPackTensorKit

/// Where a merged tensor goes, or one matrix of it: every element is written once, rounded once to the tensor's dtype.
package struct MergedTensor {
  private let destination: UnsafeMutableRawBufferPointer
  private let format: FloatFormat
  private var base: StoredElements
  /// What of the tensor goes there; nil for all.
  private var part: MatrixPart?
  /// What the merged task vector is multiplied by before it is written.
  private var taskVectorScale = 1.0

  init(_ destination: UnsafeMutableRawBufferPointer, of group: TensorGroup) {
    self.destination = destination
    format = group.format
    base = group.base
  }

  /// The same place, for a model whose difference from the base is `scale` times that of the one that is written.
  func scalingTaskVector(by scale: Double) -> MergedTensor {
    var scaled = self
    scaled.taskVectorScale *= scale
    return scaled
  }

  /// The place of one matrix; nil for the whole.
  func matrix(_ part: MatrixPart?) throws(StorageError) -> MergedTensor {
    guard let part else { return self }
    var own = self
    own.base = try base.matrix(part)
    own.part = part
    return own
  }

  /// Sets the elements of `range`.
  package func write(_ values: UnsafeBufferPointer<Double>, at range: Range<Int>) throws(StorageError) {
    guard taskVectorScale == 1 else { return try writeScaled(values, at: range) }
    try place(values, at: range)
  }

  private func writeScaled(_ values: UnsafeBufferPointer<Double>, at range: Range<Int>) throws(StorageError) {
    let scaled = UnsafeMutableBufferPointer<Double>.allocate(capacity: range.count)
    scaled.initialize(repeating: 0)
    defer { scaled.deallocate() }
    try base.read(range, into: scaled)
    // What is equal did not change, infinities too.
    for i in scaled.indices where values[i] != scaled[i] { scaled[i] += taskVectorScale * (values[i] - scaled[i]) }
    try place(UnsafeBufferPointer(scaled), at: range)
  }

  private func place(_ values: UnsafeBufferPointer<Double>, at range: Range<Int>) throws(StorageError) {
    guard let part else { return place(values, from: range.lowerBound) }
    let step = part.stack.inner
    try part.stack.forEachRun(of: range, in: part.number) { run, place throws(StorageError) in
      let own = run.lowerBound - range.lowerBound..<run.upperBound - range.lowerBound
      if step == 1 { return self.place(UnsafeBufferPointer(rebasing: values[own]), from: place) }
      for (index, source) in own.enumerated() {
        self.place(UnsafeBufferPointer(rebasing: values[source...source]), from: place + index * step)
      }
    }
  }

  private func place(_ values: UnsafeBufferPointer<Double>, from start: Int) {
    let bytes = start * format.byteWidth..<(start + values.count) * format.byteWidth
    format.round(values, into: UnsafeMutableRawBufferPointer(rebasing: destination[bytes]))
  }

  /// Sets the elements of a chunk to those in its `result`.
  package func writeResult(of chunk: TensorGroup.Chunk) throws(StorageError) {
    try write(UnsafeBufferPointer(chunk.result), at: chunk.range)
  }
}

extension MergedTensor {
  /// Sets all elements.
  package func write(_ values: [Double]) throws(StorageError) {
    try values.withUnsafeBufferPointer { values throws(StorageError) in try write(values, at: 0..<values.count) }
  }
}
