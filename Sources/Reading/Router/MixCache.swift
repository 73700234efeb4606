import Synchronization
import TMPackByteIO
import TMPackParallel
import TMPackTensorKit

/// Mixes that are whole in memory, for serving a model for each input: those that were used last are kept.
///
/// Weights are rounded to steps, and the mix is made of the rounded ones: what an input gets does not depend on what is in
/// the cache. Tensors that are the shared model's, or an expert's own, are not copied. Safe to use from several threads;
/// two that miss the same mix at once both make it.
public final class MixCache: Sendable {
  /// A mix whose tensors are in memory.
  public struct Entry: Sendable {
    /// The rounded weights that it was made of.
    public let weights: RouterWeights
    public let source: MemoryTensorSource
    /// Memory of its own: without tensors that it shares.
    public let byteCount: Int
  }

  /// What has happened so far.
  public struct Statistics: Sendable, Hashable {
    public var hits = 0
    public var misses = 0
    /// Mixes that were given up for others.
    public var evictions = 0
    /// Mixes that are kept, and their memory.
    public var entries = 0
    public var byteCount = 0
  }

  private struct Key: Hashable {
    /// By position in the archive, with weights in steps, without zeros.
    let steps: [Int: Int]
  }

  private struct State {
    var entries: RecentlyUsed<Key, Entry>
    var statistics = Statistics()
  }

  public let reconstructor: Reconstructor
  /// Most bytes that kept mixes take of their own. What the reconstructor keeps comes on top.
  public let memoryLimit: Int
  /// How finely weights are told apart: in steps of 1 ÷ resolution.
  public let resolution: Int
  private let dtype: FloatFormat?
  private let pipeline: OrderedPipeline
  private let state: Mutex<State>

  /// - Parameters:
  ///   - reconstructor: keeps what it has decoded, so that another mix only adds up.
  ///   - memoryLimit: in bytes. A mix that is larger alone is made and not kept.
  ///   - resolution: weights are rounded to multiples of one part in so many, so that inputs that want about the same share a mix.
  ///   - dtype: of the float tensors; nil leaves each its own.
  ///   - pipeline: how many threads make a mix.
  /// - Throws: `invalidArgument` for a resolution outside 1 to 2²⁰ or a negative limit.
  public init(
    _ reconstructor: Reconstructor, memoryLimit: Int, resolution: Int = 64, dtype: FloatFormat? = nil,
    pipeline: OrderedPipeline = .automatic
  ) throws(StorageError) {
    guard (1...1 << 20).contains(resolution), memoryLimit >= 0 else {
      throw StorageError(
        .invalidArgument, "a cache needs a resolution of 1 to 1048576 and a limit that is not negative")
    }
    self.reconstructor = reconstructor
    self.memoryLimit = memoryLimit
    self.resolution = resolution
    self.dtype = dtype
    self.pipeline = pipeline
    state = Mutex(State(entries: RecentlyUsed(limit: memoryLimit)))
  }

  public var statistics: Statistics { state.withLock { $0.statistics } }

  /// The mix of some weights, rounded: from the cache, or made now and kept.
  ///
  /// - Throws: `unknownName`; `invalidArgument` for weights of 2²⁰ and more; what reading throws.
  /// - Complexity: of a miss, one pass over the tensors that differ from the shared model.
  public func mix(_ weights: RouterWeights) throws(StorageError) -> Entry {
    let key = try key(of: weights)
    if let entry = found(key) { return entry }
    let entry = try make(key)
    keep(entry, key)
    return entry
  }

  // MARK: Keys

  private func key(of weights: RouterWeights) throws(StorageError) -> Key {
    var steps: [Int: Int] = [:]
    for (name, weight) in weights.entries {
      let position = try reconstructor.archive.file.expertIndex(named: name)
      guard abs(weight) < 0x1p20 else {
        throw StorageError(.invalidArgument, "a weight of \(weight) is too large for a cache", expert: name)
      }
      let count = Int((Double(weight) * Double(resolution)).rounded())
      if count != 0 { steps[position] = count }
    }
    return Key(steps: steps)
  }

  private func weights(of key: Key) throws(StorageError) -> RouterWeights {
    let experts = reconstructor.archive.experts
    return try RouterWeights(
      key.steps.sorted { $0.key < $1.key }.map {
        (name: experts[$0.key].name, weight: Float(Double($0.value) / Double(resolution)))
      })
  }

  // MARK: Entries

  private func found(_ key: Key) -> Entry? {
    state.withLock { state in
      guard let entry = state.entries.value(for: key) else {
        state.statistics.misses += 1
        return nil
      }
      state.statistics.hits += 1
      return entry
    }
  }

  private func make(_ key: Key) throws(StorageError) -> Entry {
    let weights = try weights(of: key)
    let mix = try reconstructor.mix(weights, dtype: dtype)
    var tensors: [(info: TensorInfo, bytes: TensorBytes)] = []
    tensors.reserveCapacity(mix.tensors.count)
    var byteCount = 0
    try pipeline.run(mix.tensors.count) { index throws(StorageError) in
      try mix.bytes(of: mix.tensors[index])
    } consume: { index, bytes in
      tensors.append((mix.tensors[index], bytes))
      if !mix.sharesMemory(of: mix.tensors[index]) { byteCount += bytes.count }
    }
    return Entry(
      weights: weights, source: try MemoryTensorSource(tensors, metadata: mix.metadata, label: mix.label),
      byteCount: byteCount)
  }

  private func keep(_ entry: Entry, _ key: Key) {
    state.withLock { state in
      state.statistics.evictions += state.entries.keep(entry, for: key, size: entry.byteCount)
      state.statistics.byteCount = state.entries.size
      state.statistics.entries = state.entries.count
    }
  }
}
