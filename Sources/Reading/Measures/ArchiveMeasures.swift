import TMPackArchiveFormat
import TMPackByteIO
import TMPackFactors
import TMPackParallel
import TMPackTensorKit

/// What the numbers in an archive say of its experts: how far each is from the shared model, how alike their differences are,
/// and how large the components of low-rank factors are.
///
/// Of float tensors that the shared model has in the expert's shape; as stored, with what approximation has lost.
package struct ArchiveMeasures: Sendable {
  /// One shared tensor.
  package struct Tensor: Sendable {
    package let name: String
    /// ‖shared‖².
    package let sharedSquares: Double
    /// vₐ · v_b of the differences of all pairs of experts, row by row.
    package let products: [Double]
    /// Of each expert: ‖leftₖ‖ ‖rightₖ‖, the largest first; empty where the factor is not of low rank.
    package let components: [[Double]]
  }

  package let experts: Int
  package let tensors: [Tensor]
  /// Tensors that were too large to be held for all experts at once.
  package let leftOut: [String]

  private static let mostBytes = 1 << 30
  private static let mostComponents = 256

  /// Reads all that is stored, once.
  ///
  /// Memory: for each thread a tensor of float32 for each expert, of 1 GiB together at most.
  package init(
    _ archive: Archive, pipeline: OrderedPipeline = .automatic, progress: (WorkProgress) -> Void = { _ in }
  ) throws(StorageError) {
    let reconstructor = try Reconstructor(archive, memoryLimit: 0)
    let manifest = try archive.sharedManifest()
    let count = archive.experts.count
    var manifests: [ExpertManifest] = []
    for position in archive.experts.indices { manifests.append(try archive.file.expertSection(position).manifest) }
    let all = manifests
    experts = count
    let entries = manifest.tensors.filter { $0.info.dtype.floatFormat != nil && $0.info.shape.elementCount > 0 }
    let (small, large) = entries.partitioned { entry in
      let (bytes, isTooLarge) = entry.info.shape.elementCount.multipliedReportingOverflow(by: 4 * (count + 1))
      return !isTooLarge && bytes <= Self.mostBytes
    }
    leftOut = large.map(\.info.name)
    let total = small.reduce(0) { $0 + UInt64($1.info.byteCount) }
    var done: UInt64 = 0
    var tensors: [Tensor] = []
    try pipeline.run(small.count) { index throws(StorageError) in
      try Self.measure(small[index], all, reconstructor)
    } consume: { index, tensor in
      tensors.append(tensor)
      done += UInt64(small[index].info.byteCount)
      progress(WorkProgress(stage: "measuring the experts", done: done, total: total))
    }
    self.tensors = tensors
  }

  private static func measure(
    _ shared: SharedEntry, _ manifests: [ExpertManifest], _ reconstructor: Reconstructor
  ) throws(StorageError) -> Tensor {
    guard let format = shared.info.dtype.floatFormat else { preconditionFailure("float tensors only") }
    let base = try reconstructor.sharedBytes(shared).withBytes { values(of: $0, format) }
    var components: [[Double]] = []
    var differences: [[Float]?] = []
    for (position, manifest) in manifests.enumerated() {
      var ofFactor: [Double] = []
      var difference: [Float]?
      if let entry = manifest.entry(named: shared.info.name), entry.extra == nil {
        switch try reconstructor.part(entry, ofExpert: position) {
        case .factor(let factor):
          var sum = [Float](repeating: 0, count: base.count)
          sum.withUnsafeMutableBufferPointer { factor.accumulate(weight: 1, into: $0) }
          difference = sum
          ofFactor = factor.product(weight: 1).map(Self.components) ?? []
        case .bytes(let bytes):
          // Of the shared tensor's dtype and shape, unless it is stored whole because it has others.
          guard bytes.count == shared.info.byteCount, entry.factor.kind != .replaced else { break }
          let own = try bytes.withBytes { values(of: $0, format) }
          difference = zip(own, base).map { $0 - $1 }
        case .nothing: break
        }
      }
      components.append(ofFactor)
      differences.append(difference)
    }
    var products: [Double] = []
    for a in differences {
      for b in differences { products.append(a.flatMap { a in b.map { dot(a, $0) } } ?? 0) }
    }
    return Tensor(
      name: shared.info.name, sharedSquares: dot(base, base), products: products, components: components)
  }

  private static func values(of raw: UnsafeRawBufferPointer, _ format: FloatFormat) -> [Float] {
    [Float](unsafeUninitializedCapacity: raw.count / format.byteWidth) { values, count in
      count = raw.count / format.byteWidth
      format.widen(raw, into: UnsafeMutableBufferPointer(rebasing: values[..<count]))
    }
  }

  private static func dot(_ a: [Float], _ b: [Float]) -> Double {
    var sum = 0.0
    a.withUnsafeBufferPointer { a in
      b.withUnsafeBufferPointer { b in for i in 0..<min(a.count, b.count) { sum += Double(a[i]) * Double(b[i]) } }
    }
    return sum
  }

  private static func components(of product: LowRankProduct) -> [Double] {
    let rank = min(product.rank, mostComponents)
    var (left, right) = ([Double](repeating: 0, count: rank), [Double](repeating: 0, count: rank))
    for k in 0..<rank {
      for i in 0..<product.rows { left[k] += Double(product.left[i * product.rank + k]).squared }
      for j in 0..<product.columns { right[k] += Double(product.right[k * product.columns + j]).squared }
    }
    let scale = Double(product.scale.magnitude)
    return zip(left, right).map { ($0 * $1).squareRoot() * scale }.sorted(by: >)
  }
}

extension Double {
  fileprivate var squared: Double { self * self }
}

extension Array {
  fileprivate func partitioned(_ belongs: (Element) -> Bool) -> (yes: [Element], no: [Element]) {
    (filter(belongs), filter { !belongs($0) })
  }
}
