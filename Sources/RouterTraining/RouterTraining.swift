import TMPackArchiveFormat
import TMPackByteIO
import TMPackFactorization
import TMPackReading

/// Fits a router to inputs whose tasks are known.
///
/// Source: Lu et al., Twin-Merging, NeurIPS 2024, arXiv 2406.15479: a network of two hidden layers with normalisation, leaky
/// rectifiers and dropout, trained with cross-entropy on embeddings of the shared model. The same inputs and options give
/// the same router on one machine; sums of matrix products may be in another order on another processor.
package struct RouterTraining: Sendable {
  /// What is fitted.
  package enum Kind: String, Sendable, CaseIterable {
    case mlp
    case linear
    case knn
  }

  package var kind: Kind = .mlp
  /// Outputs of the hidden layers of `mlp`.
  package var hidden = [256, 128]
  /// Share of a hidden layer's outputs that is left out in each step.
  package var dropout = 0.5
  /// What the rectifiers multiply negative numbers by.
  package var slope = 0.01
  /// Share of each target that goes to all classes alike, so that the network does not become sure of everything
  /// (Szegedy et al., Rethinking the Inception Architecture, CVPR 2016). The paper has none.
  package var labelSmoothing = 0.1
  package var learningRate = 5e-4
  package var weightDecay = 0.01
  package var batchSize = 128
  /// Most passes over the inputs, at most `mostEpochs`; nil takes 50, or more of few inputs: enough for 2500 steps.
  package var epochs: Int?
  /// Far more than anything needs; so that what is counted over all of them is no overflow.
  package static let mostEpochs = 1_000_000
  /// Passes without a lower loss of the validation inputs after which the best so far is taken; nil takes 5, or more of
  /// few inputs: enough for 250 steps.
  package var patience: Int?
  /// Neighbours that vote, of `knn`.
  package var neighbours = 32
  /// Examples of `knn` that are kept, chosen at random; nil keeps all.
  package var examples: Int?
  package var seed: UInt64 = 1
  /// What the weights are kept in.
  package var dtype = RouterDType.f16
  /// Share of the validation inputs that may be sent to the shared model; 0 stores no fallback.
  package var fallbackRate = 0.01

  package init() {}

  /// Most passes over so many inputs.
  package func epochs(of inputs: Int) -> Int { epochs ?? passes(50, steps: 2500, inputs) }

  private func patience(of inputs: Int) -> Int { patience ?? passes(5, steps: 250, inputs) }

  private func passes(_ least: Int, steps: Int, _ inputs: Int) -> Int {
    // A batch has no more inputs than there are, whatever is asked for.
    let size = max(1, min(batchSize, inputs))
    let each = max(1, (inputs - 1) / size + 1)
    return max(least, (steps + each - 1) / each)
  }

  /// How far training is.
  package struct Epoch: Sendable {
    /// From 1.
    package let number: Int
    /// Mean cross-entropy of the training inputs, in nats, while they were trained on: with the smoothed targets.
    package let loss: Double
    package let validationLoss: Double
    package let validationAccuracy: Double
  }

  /// Fits a router.
  ///
  /// - Parameters:
  ///   - validation: inputs that are not trained on: they stop the training, set the temperature and are measured.
  ///   - progress: called after each epoch; not for `knn`.
  /// - Throws: `invalidArgument` for options or inputs that nothing can be fitted to; `shapeMismatch` for inputs of two
  ///   dimensions; `nonFinite` where training diverges; `limitExceeded`.
  /// - Complexity: for `mlp` about 6 operations for each weight, input and epoch; holds the inputs twice.
  package func fit(
    _ inputs: LabelledEmbeddings, validation: LabelledEmbeddings, classes: [String], provenance: Provenance,
    progress: (Epoch) -> Void = { _ in }
  ) throws(StorageError) -> RouterDraft {
    try check(inputs, validation, classes)
    let model: RouterModel
    switch kind {
    case .mlp, .linear:
      try BLAS.prepare(threads: 1)
      model = .layers(try train(inputs, validation, classes.count, progress))
    case .knn:
      model = .neighbours(try collect(inputs, classes.count))
    }
    var draft = try RouterDraft(classes: classes, model: model, dtype: dtype, provenance: provenance)
    draft.measures.examples = inputs.labels.count
    try draft.measure(on: validation, fallbackRate: fallbackRate)
    return draft
  }

  /// The options as provenance records them.
  package var record: [String: String] {
    var record = ["model": kind.rawValue, "dtype": dtype.rawValue.lowercased(), "seed": String(seed)]
    switch kind {
    case .knn:
      record["neighbours"] = String(neighbours)
      record["examples"] = examples.map { String($0) }
    case .mlp, .linear:
      if kind == .mlp {
        record["hidden"] = hidden.map { String($0) }.joined(separator: ",")
        record["dropout"] = "\(dropout)"
        record["slope"] = "\(slope)"
      }
      record["label-smoothing"] = "\(labelSmoothing)"
      record["learning-rate"] = "\(learningRate)"
      record["weight-decay"] = "\(weightDecay)"
      record["batch-size"] = String(batchSize)
      record["epochs"] = epochs.map { String($0) }
      record["patience"] = patience.map { String($0) }
    }
    record["fallback-rate"] = "\(fallbackRate)"
    return record
  }

  private func check(
    _ inputs: LabelledEmbeddings, _ validation: LabelledEmbeddings, _ classes: [String]
  ) throws(StorageError) {
    func require(_ holds: Bool, _ message: String) throws(StorageError) {
      if !holds { throw StorageError(.invalidArgument, message) }
    }
    try require(classes.count >= 2, "a router needs two classes at least")
    guard inputs.embeddings.dimension == validation.embeddings.dimension else {
      throw StorageError(
        .shapeMismatch,
        "the validation inputs have \(validation.embeddings.dimension) numbers, and the others \(inputs.embeddings.dimension)"
      )
    }
    for (number, name) in classes.enumerated() where !inputs.labels.contains(number) {
      throw StorageError(.invalidArgument, "no input has the class '\(name)'", expert: name)
    }
    try require((0..<1).contains(dropout), "the dropout must be 0 at least and below 1")
    try require((0..<1).contains(labelSmoothing), "the label smoothing must be 0 at least and below 1")
    try require(slope >= 0 && Float(slope).isFinite, "the slope must be a binary32 number that is not negative")
    try require(learningRate > 0 && learningRate.isFinite, "the learning rate must be above 0")
    try require(weightDecay >= 0 && weightDecay.isFinite, "the weight decay must be a number that is not negative")
    try require((0..<1).contains(fallbackRate), "the rate of the fallback must be 0 at least and below 1")
    try require(batchSize >= 2 && patience ?? 1 >= 1, "batches need two inputs, and patience 1")
    try require((1...Self.mostEpochs).contains(epochs ?? 1), "the epochs must be 1 to \(Self.mostEpochs)")
    try require(neighbours >= 1 && (examples ?? 1) >= 1, "neighbours and examples must be 1 at least")
    try require(
      hidden.allSatisfy { $0 >= 1 } && (kind != .mlp || !hidden.isEmpty), "hidden layers need an output at least")
    if kind == .mlp {
      try Limits.check(hidden.count + 1, atMost: Limits.routerLayers, "the number of the router's layers")
      var elements = 0
      for (a, b) in zip([inputs.embeddings.dimension] + hidden, hidden + [classes.count]) {
        try Limits.check(max(a, b), atMost: Limits.routerWidth, "the width of a layer")
        elements += a * b
        try Limits.check(elements, atMost: Limits.routerElements, "the number of the router's weights")
      }
    }
  }

  // MARK: Networks

  private func train(
    _ inputs: LabelledEmbeddings, _ validation: LabelledEmbeddings, _ classCount: Int, _ progress: (Epoch) -> Void
  ) throws(StorageError) -> LayeredRouter {
    let standardization = Standardization(of: inputs.embeddings)
    let rows = standardization.applied(to: inputs.embeddings)
    let held = standardization.applied(to: validation.embeddings)
    let dimension = inputs.embeddings.dimension
    var random = RandomBits(seed: seed)
    var network = RouterNetwork(
      dimension: dimension, hidden: kind == .mlp ? hidden : [], classCount: classCount, slope: Float(slope),
      dropout: kind == .mlp ? Float(dropout) : 0, smoothing: labelSmoothing, using: &random)
    var optimizer = AdamW(
      parameters: network.parameters, learningRate: Float(learningRate), decay: Float(weightDecay))
    var best = (loss: Double.infinity, epoch: 0, network: network)
    let patience = patience(of: inputs.labels.count)
    let batchSize = min(batchSize, inputs.labels.count)
    for epoch in 1...epochs(of: inputs.labels.count) {
      let order = random.permutation(inputs.labels.count)
      var sum = 0.0
      var count = 0
      for start in stride(from: 0, to: order.count, by: batchSize) {
        let chosen = order[start..<min(start + batchSize, order.count)]
        // One input has no variance.
        if chosen.count < 2, order.count > 1 { continue }
        var batch: [Float] = []
        batch.reserveCapacity(chosen.count * dimension)
        for row in chosen { batch += rows[row * dimension..<(row + 1) * dimension] }
        let (loss, gradients) = network.gradients(batch, labels: chosen.map { inputs.labels[$0] }, using: &random)
        var parameters = network.parameters
        optimizer.step(&parameters, gradients, decays: network.decays)
        network.parameters = parameters
        sum += loss * Double(chosen.count)
        count += chosen.count
      }
      let calibration = Self.calibration(network, held, validation.labels)
      let loss = calibration.loss(temperature: 1)
      guard loss.isFinite else {
        throw StorageError(.nonFinite, "training diverges in epoch \(epoch); a lower learning rate may help")
      }
      progress(
        Epoch(
          number: epoch, loss: sum / Double(max(1, count)), validationLoss: loss,
          validationAccuracy: calibration.accuracy))
      if loss < best.loss { best = (loss, epoch, network) }
      if epoch - best.epoch >= patience { break }
    }
    return try best.network.folded(standardization)
  }

  private static func calibration(_ network: RouterNetwork, _ rows: [Float], _ labels: [Int]) -> Calibration {
    let logits = network.evaluated(rows, rows: labels.count)
    let count = network.classCount
    return Calibration(
      logits: labels.indices.map { row in logits[row * count..<(row + 1) * count].map { Double($0) } }, labels: labels)
  }

  // MARK: Neighbours

  private func collect(_ inputs: LabelledEmbeddings, _ classCount: Int) throws(StorageError) -> NeighbourRouter {
    let standardization = Standardization(of: inputs.embeddings)
    let dimension = inputs.embeddings.dimension
    let all = standardization.applied(to: inputs.embeddings)
    var kept = Array(0..<inputs.labels.count)
    if let examples, examples < kept.count {
      var random = RandomBits(seed: seed)
      kept = random.permutation(kept.count)[0..<examples].sorted()
    }
    try Limits.check(kept.count, atMost: Limits.routerExamples, "the number of the router's examples")
    try Limits.check(kept.count * dimension, atMost: Limits.routerElements, "the number of the router's weights")
    var vectors: [Float] = []
    vectors.reserveCapacity(kept.count * dimension)
    for row in kept { vectors += all[row * dimension..<(row + 1) * dimension] }
    return try NeighbourRouter(
      classCount: classCount, count: min(neighbours, kept.count), centers: standardization.centers.map { Float($0) },
      scales: standardization.scales.map { Float($0) }, labels: kept.map { UInt16(inputs.labels[$0]) },
      vectors: vectors)
  }
}

extension LabelledEmbeddings {
  /// Sets a share of each class's inputs aside, chosen at random: one at least of a class of two or more.
  ///
  /// - Throws: `invalidArgument` unless the share is above 0 and below 1 and leaves something on both sides.
  package func split(holdingOut share: Double, seed: UInt64) throws(StorageError) -> (
    training: LabelledEmbeddings, validation: LabelledEmbeddings
  ) {
    guard share > 0, share < 1 else {
      throw StorageError(.invalidArgument, "the share held out must be above 0 and below 1")
    }
    var random = RandomBits(seed: seed)
    var rows: [Int: [Int]] = [:]
    for row in random.permutation(labels.count) { rows[labels[row], default: []].append(row) }
    var held = [Bool](repeating: false, count: labels.count)
    for own in rows.values where own.count > 1 {
      let count = min(own.count - 1, max(1, Int(Double(own.count) * share)))
      for row in own[0..<count] { held[row] = true }
    }
    func part(_ isHeld: Bool) throws(StorageError) -> LabelledEmbeddings {
      let chosen = labels.indices.filter { held[$0] == isHeld }
      var values: [Float] = []
      values.reserveCapacity(chosen.count * embeddings.dimension)
      for row in chosen { values += embeddings[row] }
      guard !chosen.isEmpty else {
        throw StorageError(.invalidArgument, "there are too few inputs to hold some out").with(.giveValidation)
      }
      return LabelledEmbeddings(
        checked: try Embeddings(values, dimension: embeddings.dimension), labels: chosen.map { labels[$0] })
    }
    return (try part(false), try part(true))
  }
}
