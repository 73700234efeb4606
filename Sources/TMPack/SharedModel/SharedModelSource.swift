import ByteIO
import TensorKit

/// The shared model as it is computed: the base's tensors, merged with the experts' by a method, one at a time.
///
/// Sums are kept in binary64 and rounded once to the base's dtype. Experts that lack a tensor, or have it in another
/// dtype or shape, are left out for it; tensors that are not of a float dtype are the base's.
/// Memory while reading one tensor: its elements in binary64, and the bytes of one expert's.
public struct SharedModelSource: TensorSource {
  let base: any TensorSource
  let experts: [any TensorSource]
  let method: any MergingMethod

  public init(base: any TensorSource, experts: [any TensorSource], method: any MergingMethod) {
    self.base = base
    self.experts = experts
    self.method = method
  }

  public var tensors: [TensorInfo] { base.tensors }
  public var metadata: [String: String] { base.metadata }
  public var label: String { base.label }

  public func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try base.read(info, into: destination)
    guard method.readsExperts, let format = info.dtype.floatFormat, info.shape.elementCount > 0 else { return }
    let holders = experts.filter { $0.tensor(named: info.name)?.matches(info) == true }
    guard !holders.isEmpty else { return }

    let count = info.shape.elementCount
    let sum = UnsafeMutableBufferPointer<Double>.allocate(capacity: count)
    defer { sum.deallocate() }
    sum.initialize(repeating: 0)
    var scratch = ChunkScratch()
    for expert in holders {
      guard let own = expert.tensor(named: info.name) else { continue }
      try expert.bytes(of: own).withBytes { raw in
        for chunk in ChunkScratch.chunks(of: count) {
          let baseValues = scratch.base(format, UnsafeRawBufferPointer(destination), chunk)
          let expertValues = scratch.expert(format, raw, chunk)
          method.accumulate(expertValues, base: baseValues, into: .init(rebasing: sum[chunk]))
        }
      }
    }
    for chunk in ChunkScratch.chunks(of: count) {
      let part = UnsafeMutableBufferPointer(rebasing: sum[chunk])
      method.finish(part, base: scratch.base(format, UnsafeRawBufferPointer(destination), chunk), count: holders.count)
      let bytes = chunk.lowerBound * format.byteWidth..<chunk.upperBound * format.byteWidth
      format.round(UnsafeBufferPointer(part), into: UnsafeMutableRawBufferPointer(rebasing: destination[bytes]))
    }
  }
}

/// Room for some elements of the base and of an expert in binary64, so that whole tensors need not be widened.
private struct ChunkScratch: ~Copyable {
  static let capacity = 1 << 16
  private let values = UnsafeMutableBufferPointer<Double>.allocate(capacity: 2 * capacity)

  deinit { values.deallocate() }

  static func chunks(of count: Int) -> some Sequence<Range<Int>> {
    stride(from: 0, to: count, by: capacity).lazy.map { $0..<Swift.min($0 + capacity, count) }
  }

  mutating func base(_ format: FloatFormat, _ raw: UnsafeRawBufferPointer, _ chunk: Range<Int>) -> UnsafeBufferPointer<
    Double
  > {
    widen(format, raw, chunk, at: 0)
  }

  mutating func expert(_ format: FloatFormat, _ raw: UnsafeRawBufferPointer, _ chunk: Range<Int>)
    -> UnsafeBufferPointer<Double>
  {
    widen(format, raw, chunk, at: Self.capacity)
  }

  private func widen(
    _ format: FloatFormat, _ raw: UnsafeRawBufferPointer, _ chunk: Range<Int>, at place: Int
  ) -> UnsafeBufferPointer<Double> {
    let target = UnsafeMutableBufferPointer(rebasing: values[place..<place + chunk.count])
    let bytes = chunk.lowerBound * format.byteWidth..<chunk.upperBound * format.byteWidth
    format.widen(UnsafeRawBufferPointer(rebasing: raw[bytes]), into: target)
    return UnsafeBufferPointer(target)
  }
}
