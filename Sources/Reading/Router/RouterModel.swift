import TMPackArchiveFormat
import TMPackByteIO

/// What gives a logit for each class.
package enum RouterModel: Sendable {
  case layers(LayeredRouter)
  case neighbours(NeighbourRouter)

  /// Numbers of an input.
  package var dimension: Int {
    switch self {
    case .layers(let layers): layers.dimension
    case .neighbours(let neighbours): neighbours.dimension
    }
  }

  package var classCount: Int {
    switch self {
    case .layers(let layers): layers.classCount
    case .neighbours(let neighbours): neighbours.classCount
    }
  }

  /// The logits of one input, in binary64 (TMP-11-6, TMP-11-7).
  ///
  /// - Throws: `nonFinite` where sums overflow.
  /// - Complexity: one multiplication for each weight, or each number of each example.
  package func logits(of input: ArraySlice<Float>) throws(StorageError) -> [Double] {
    precondition(input.count == dimension, "an input of the router's dimension")
    let logits =
      switch self {
      case .layers(let layers): layers.logits(of: input)
      case .neighbours(let neighbours): neighbours.logits(of: input)
      }
    guard logits.allSatisfy(\.isFinite) else {  // TMP-11-8
      throw StorageError(.nonFinite, "the router's logits overflow for this input")
    }
    return logits
  }
}

// MARK: In an archive

extension RouterModel {
  /// Reads the payloads of a router's section and checks their values (TMP-11-6, TMP-11-7).
  init(_ section: Section<RouterManifest>, _ payloads: PayloadReader) throws(StorageError) {
    let manifest = section.manifest
    func floats(_ payload: PayloadReference, _ dtype: RouterDType = .f32) throws(StorageError) -> [Float] {
      let bytes = try payloads.bytes(of: payload, in: section)
      return bytes.withUnsafeBytes { dtype.values($0) }
    }
    do throws(StorageError) {
      switch manifest.model {
      case .layers(let stored, let slope, let dtype):
        var inputs = manifest.dimension
        let layers = try stored.map { layer throws(StorageError) in
          defer { inputs = layer.outputs }
          return try LayeredRouter.Layer(
            inputs: inputs, outputs: layer.outputs, bias: try floats(layer.bias),
            weights: try floats(layer.weights, dtype))
        }
        self = .layers(try LayeredRouter(layers, slope: slope.value))
      case .neighbours(let stored):
        let labelBytes = try payloads.bytes(of: stored.labels, in: section)
        let labels = stride(from: 0, to: labelBytes.count, by: 2).map {
          UInt16(labelBytes[$0]) | UInt16(labelBytes[$0 + 1]) << 8
        }
        self = .neighbours(
          try NeighbourRouter(
            classCount: manifest.classes.count, count: stored.count, centers: try floats(stored.centers),
            scales: try floats(stored.scales), labels: labels, vectors: try floats(stored.vectors, stored.dtype)))
      }
    } catch {
      // In a file it is the file's fault.
      throw error.code == .nonFinite ? StorageError(.malformed, error.message) : error
    }
  }

  /// Places the payloads in the section that is open.
  package func place(in writer: ArchiveWriter, dtype: RouterDType, level: Int) throws(StorageError) -> StoredRouterModel
  {
    func placed(_ values: [Float], _ dtype: RouterDType = .f32) throws(StorageError) -> PayloadReference {
      let bytes = dtype.bytes(values)
      let coding = PayloadCoding.floats(width: dtype.format.byteWidth)
      return try writer.place(bytes.withUnsafeBytes { EncodedPayload($0, coding, level: level) })
    }
    switch self {
    case .layers(let layers):
      // In the order of the canonical manifest, which a reader goes through the file in.
      let stored = try layers.layers.map { layer throws(StorageError) in
        StoredRouterLayer(
          outputs: layer.outputs, bias: try placed(layer.bias), weights: try placed(layer.weights, dtype))
      }
      return .layers(stored, slope: Measure(layers.slope), dtype: dtype)
    case .neighbours(let neighbours):
      var labels = ByteWriter()
      for label in neighbours.labels { labels.integer(label) }
      let centers = try placed(neighbours.centers)
      let labelPayload = try writer.place(EncodedPayload(labels.bytes, elementWidth: 2, level: level))
      let scales = try placed(neighbours.scales)
      return .neighbours(
        StoredNeighbours(
          count: neighbours.count, examples: neighbours.exampleCount, dtype: dtype, centers: centers,
          labels: labelPayload, scales: scales, vectors: try placed(neighbours.vectors, dtype)))
    }
  }

  /// The model as it is once its weights are kept in another dtype.
  ///
  /// - Throws: `nonFinite` for a weight that is too large for it.
  package func rounded(to dtype: RouterDType) throws(StorageError) -> RouterModel {
    func round(_ values: [Float]) -> [Float] { dtype.bytes(values).withUnsafeBytes { dtype.values($0) } }
    switch self {
    case .layers(let layers):
      return .layers(
        try LayeredRouter(
          try layers.layers.map { layer throws(StorageError) in
            try LayeredRouter.Layer(
              inputs: layer.inputs, outputs: layer.outputs, bias: layer.bias, weights: round(layer.weights))
          }, slope: layers.slope))
    case .neighbours(let neighbours):
      return .neighbours(
        try NeighbourRouter(
          classCount: neighbours.classCount, count: neighbours.count, centers: neighbours.centers,
          scales: neighbours.scales, labels: neighbours.labels, vectors: round(neighbours.vectors)))
    }
  }
}

extension RouterDType {
  fileprivate func values(_ bytes: UnsafeRawBufferPointer) -> [Float] {
    var values = [Float](repeating: 0, count: bytes.count / format.byteWidth)
    values.withUnsafeMutableBufferPointer { format.widen(bytes, into: $0) }
    return values
  }

  fileprivate func bytes(_ values: [Float]) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: values.count * format.byteWidth) { bytes, count in
      let raw = UnsafeMutableRawBufferPointer(
        rebasing: UnsafeMutableRawBufferPointer(bytes)[0..<values.count * format.byteWidth])
      values.withUnsafeBufferPointer { format.round($0, into: raw) }
      count = raw.count
    }
  }
}
