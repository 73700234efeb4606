import TMPackArchiveFormat
import TMPackByteIO
import TMPackDigests

/// The router of an archive: it looks at an input's embedding and says how much of each expert the input wants.
///
/// ```swift
/// let archive = try Archive("zoo.tmpack")
/// let router = try Router(archive)
/// let cache = try MixCache(Reconstructor(archive), memoryLimit: 4 << 30)
/// for embedding in embeddings {
///   let weights = try router.weights(for: embedding)
///   let model = try cache.mix(weights)
///   print(model.weights.entries, model.source.tensors.count)
/// }
/// ```
///
/// Source: Lu et al., Twin-Merging, NeurIPS 2024, arXiv 2406.15479: w = softmax(router(embedding of the shared model)).
/// The arithmetic is that of TMP-11. Safe to use from several threads.
public struct Router: Sendable {
  package let manifest: RouterManifest
  package let model: RouterModel
  /// Names the router: the digest of its section.
  public let digest: ContentDigest
  private let path: String

  /// Reads an archive's router whole, and checks it.
  ///
  /// - Throws: `invalidArgument` for an archive without one; `malformed` for weights that are not finite; what reading throws.
  /// - Complexity: holds its weights in binary32.
  public init(_ archive: Archive) throws(StorageError) {
    guard let section = try archive.file.routerSection(), let reference = archive.file.index.router else {
      throw StorageError(.invalidArgument, "has no router; tmpack router fit makes one", file: archive.path)
    }
    manifest = section.manifest
    model = try located(file: archive.path) { () throws(StorageError) in
      try RouterModel(section, archive.file.payloads)
    }
    digest = reference.extent.digest
    path = archive.path
  }

  /// Names of experts, in the order of the router's outputs.
  public var classes: [String] { manifest.classes }

  /// Numbers of an embedding.
  public var dimension: Int { model.dimension }

  /// Routes groups of inputs.
  ///
  /// - Returns: one routing for each group, in order.
  /// - Throws: `shapeMismatch` for embeddings of another dimension; `nonFinite` where the arithmetic overflows (TMP-11-8).
  package func route(
    _ inputs: Embeddings, pooling: Pooling = .each, _ options: RoutingOptions = .standard
  ) throws(StorageError) -> [Routing] {
    guard inputs.dimension == dimension else {
      throw StorageError(
        .shapeMismatch, "its router takes embeddings of \(dimension) numbers, and these have \(inputs.dimension)",
        file: path)
    }
    let temperature = temperature(options)
    let limit = fallbackEntropy(options)
    return try pooling.groups(inputs.rows).map { rows throws(StorageError) in
      var evidence = PooledEvidence(classCount: classes.count)
      for row in rows {
        try located(file: path) { () throws(StorageError) in
          try evidence.add(Probabilities.logSoftmax(model.logits(of: inputs[row]), temperature: temperature))
        }
      }
      let probabilities = evidence.probabilities
      let entropy = evidence.entropy
      let fellBack = limit.map { entropy > $0 } ?? false
      let weights = fellBack ? classes.map { _ in 0 } : options.weights(probabilities)
      return Routing(
        rows: rows, probabilities: probabilities, entropy: entropy, fellBack: fellBack,
        weights: try RouterWeights(zip(classes, weights).map { ($0, $1) }))
    }
  }

  /// The weights of one input, or of several that belong to one task, row by row in one array.
  ///
  /// - Throws: what `route` throws; `shapeMismatch` unless these are whole rows.
  public func weights(for embedding: [Float], _ options: RoutingOptions = .standard) throws(StorageError)
    -> RouterWeights
  {
    try route(Embeddings(embedding, dimension: dimension), pooling: .all, options)[0].weights
  }

  /// What logits are divided by.
  public func temperature(_ options: RoutingOptions) -> Double {
    options.temperature ?? manifest.temperature?.value ?? 1
  }

  /// The entropy above which the shared model is taken; nil where it never is.
  public func fallbackEntropy(_ options: RoutingOptions) -> Double? {
    switch options.fallback {
    case .stored: manifest.fallbackEntropy?.value
    case .above(let entropy): entropy
    case .never: nil
    }
  }
}
