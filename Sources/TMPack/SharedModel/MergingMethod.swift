import ArchiveFormat
import ByteIO
import TensorKit

/// A way to make one shared tensor from the base's and the experts'. Deterministic; streams one tensor at a time.
public protocol MergingMethod: Sendable {
  /// As the archive records it.
  var record: SharedMethod { get }

  /// Whether the experts have any influence.
  var readsExperts: Bool { get }

  /// Adds an expert's tensor, in declaration order, to `sum`, which begins as zeros.
  ///
  /// - Parameters:
  ///   - expert, base: elements of tensors of the same float dtype and shape.
  func accumulate(
    _ expert: UnsafeBufferPointer<Double>, base: UnsafeBufferPointer<Double>,
    into sum: UnsafeMutableBufferPointer<Double>)

  /// Replaces `sum` by the shared tensor.
  ///
  /// - Parameter count: how many experts were added, at least 1.
  func finish(_ sum: UnsafeMutableBufferPointer<Double>, base: UnsafeBufferPointer<Double>, count: Int)
}

/// The base itself: what LoRA-like deltas are taken against.
public struct BaseModel: MergingMethod {
  public init() {}
  public var record: SharedMethod { SharedMethod(.base) }
  public var readsExperts: Bool { false }
  public func accumulate(
    _: UnsafeBufferPointer<Double>, base _: UnsafeBufferPointer<Double>, into _: UnsafeMutableBufferPointer<Double>
  ) {}
  public func finish(_ sum: UnsafeMutableBufferPointer<Double>, base: UnsafeBufferPointer<Double>, count _: Int) {
    _ = sum.update(fromContentsOf: base)
  }
}

/// The mean of the experts: a model soup (Wortsman et al., 2022, arXiv 2203.05482).
public struct AverageModel: MergingMethod {
  public init() {}
  public var record: SharedMethod { SharedMethod(.average) }
  public var readsExperts: Bool { true }
  public func accumulate(
    _ expert: UnsafeBufferPointer<Double>, base _: UnsafeBufferPointer<Double>,
    into sum: UnsafeMutableBufferPointer<Double>
  ) {
    for i in 0..<sum.count { sum[i] += expert[i] }
  }
  public func finish(_ sum: UnsafeMutableBufferPointer<Double>, base _: UnsafeBufferPointer<Double>, count: Int) {
    for i in 0..<sum.count { sum[i] /= Double(count) }
  }
}

/// θ₀ + λ Σ (θₜ − θ₀) (Ilharco et al., 2023, arXiv 2212.04089); Twin-Merging's default, with λ = 0.3.
public struct TaskArithmetic: MergingMethod {
  public static let defaultScale = 0.3
  /// λ
  public let scale: Double

  public init(scale: Double = defaultScale) { self.scale = scale }

  public var record: SharedMethod { SharedMethod(.taskArithmetic, parameters: ["lambda": String(describing: scale)]) }
  public var readsExperts: Bool { true }
  public func accumulate(
    _ expert: UnsafeBufferPointer<Double>, base: UnsafeBufferPointer<Double>,
    into sum: UnsafeMutableBufferPointer<Double>
  ) {
    for i in 0..<sum.count { sum[i] += expert[i] - base[i] }
  }
  public func finish(_ sum: UnsafeMutableBufferPointer<Double>, base: UnsafeBufferPointer<Double>, count _: Int) {
    for i in 0..<sum.count { sum[i] = base[i] + scale * sum[i] }
  }
}
