import ArchiveSupport
import TMPackReading
import TMPackRouterTraining
import TestSupport
import Testing

@Suite struct RoutingTests {
  /// A router of one layer that gives its inputs as logits.
  private func identity(_ classes: [String], temperature: Double? = nil, fallbackEntropy: Double? = nil) throws
    -> Router
  {
    let count = classes.count
    let weights = (0..<count * count).map { $0 % (count + 1) == 0 ? Float(1) : 0 }
    let layer = try LayeredRouter.Layer(
      inputs: count, outputs: count, bias: [Float](repeating: 0, count: count), weights: weights)
    return try routed(
      classes, .layers(LayeredRouter([layer])), temperature: temperature, fallbackEntropy: fallbackEntropy)
  }

  private func routed(
    _ classes: [String], _ model: RouterModel, temperature: Double? = nil, fallbackEntropy: Double? = nil
  ) throws -> Router {
    var draft = try RouterDraft(classes: classes, model: model, dtype: .f32, provenance: noProvenance)
    draft.temperature = temperature
    draft.fallbackEntropy = fallbackEntropy
    let archive = try RoutedArchive(classes.sorted())
    try archive.open().put(draft)
    return try Router(archive.open())
  }

  private func route(_ router: Router, _ values: [Float], _ options: RoutingOptions = .standard) throws -> [Float] {
    try router.weights(for: values, options).entries.map(\.weight)
  }

  // TMP-11-9, TMP-11-11
  @Test func isTheSoftmax() throws {
    let router = try identity(["b", "a", "c"])
    let weights = try router.weights(for: [Float(0), 1, 2])
    #expect(weights.entries.map(\.name) == ["b", "a", "c"])
    for (weight, expected) in zip(weights.entries.map(\.weight), [0.09003057, 0.24472847, 0.66524096]) {
      #expect(abs(Double(weight) - expected) < 1e-7)
    }
    // Great logits do not overflow.
    #expect(try route(router, [1e30, -1e30, 0]) == [1, 0, 0])
  }

  // TMP-11-9: T divides the logits. TMP-11-4: the stored one holds unless another is asked for.
  @Test func temperatures() throws {
    let router = try identity(["a", "b"], temperature: 2)
    let halved = try route(router, [0, 2])
    #expect(abs(Double(halved[1]) - 0.7310586) < 1e-7)
    let plain = try route(router, [0, 2], RoutingOptions(temperature: 1))
    #expect(abs(Double(plain[1]) - 0.8807971) < 1e-7)
    for wrong in [0, -1, 1e-7, .nan, .infinity] {
      #expect(code { _ = try RoutingOptions(temperature: wrong) } == .invalidArgument)
    }
  }

  // TMP-11-11
  @Test func keepsTheGreatest() throws {
    let router = try identity(["a", "b", "c", "d"])
    let logits = [1, 3, 2, 1].map { Float($0) }
    #expect(try route(router, logits, RoutingOptions(top: 1)) == [0, 1, 0, 0])
    let two = try route(router, logits, RoutingOptions(top: 2))
    #expect(two[0] == 0 && two[3] == 0 && abs(two[1] - 0.7310586) < 1e-6 && two[1] + two[2] == 1)
    // "of equal ones the earlier class staying"
    let three = try route(router, logits, RoutingOptions(top: 3))
    #expect(three[0] > 0 && three[3] == 0)
    #expect(try route(router, logits, RoutingOptions(top: 9)) == route(router, logits))
    #expect(code { _ = try RoutingOptions(top: 0) } == .invalidArgument)
    let likely = try route(router, logits, RoutingOptions(threshold: 0.2))
    #expect(likely == two)
    // Nobody is probable enough: "or 0 if nothing is".
    #expect(try route(router, [0, 0, 0, 0], RoutingOptions(threshold: 0.3)) == [0, 0, 0, 0])
    #expect(code { _ = try RoutingOptions(threshold: 1.1) } == .invalidArgument)
  }

  // TMP-11-10
  @Test func fallsBackWhereNothingIsKnown() throws {
    let router = try identity(["a", "b", "c"], fallbackEntropy: 0.9)
    let known = try router.route(Embeddings([5, 0, 0], dimension: 3))[0]
    #expect(!known.fellBack && known.entropy < 0.1 && known.weights.entries[0].weight > 0.9)
    let unknown = try router.route(Embeddings([0, 0, 0], dimension: 3))[0]
    #expect(unknown.fellBack && unknown.entropy > 1 - 1e-12)
    #expect(unknown.weights.entries.allSatisfy { $0.weight == 0 } && unknown.weights.entries.count == 3)
    #expect(unknown.probabilities.allSatisfy { abs($0 - 1.0 / 3) < 1e-12 })
    #expect(try route(router, [0, 0, 0], RoutingOptions(fallback: .never))[0] > 0.3)
    #expect(try route(router, [0, 0, 0], RoutingOptions(fallback: .above(1)))[0] > 0.3)
    #expect(try route(router, [5, 0, 0], RoutingOptions(fallback: .above(0))) == [0, 0, 0])
    #expect(code { _ = try RoutingOptions(fallback: .above(1.5)) } == .invalidArgument)
    // Weights of 0 are the shared model (TMP-7-1).
    let archive = try RoutedArchive(["a", "b", "c"]).open()
    let reconstructor = try Reconstructor(archive)
    #expect(try digests(of: reconstructor.mix(unknown.weights)) == digests(of: reconstructor.mix(.shared)))
  }

  // TMP-11-9, TMP-11-10: evidence is added up, uncertainty is not.
  @Test func pools() throws {
    let router = try identity(["a", "b"])
    let values: [Float] = [0, 1, 0, 1, 0, 1, 2, 0]
    let inputs = try Embeddings(values, dimension: 2)
    let single = try router.route(inputs)
    let pairs = try router.route(inputs, pooling: .groups(of: 3))
    #expect(single.count == 4 && pairs.map(\.rows) == [0..<3, 3..<4])
    // Three times the evidence: logits 0 and 3.
    #expect(abs(pairs[0].probabilities[1] - 0.9525741) < 1e-6)
    #expect(abs(pairs[0].entropy - single[0].entropy) < 1e-12)
    #expect(pairs[1].probabilities == single[3].probabilities)
    let all = try router.route(inputs, pooling: .all)
    #expect(all.count == 1 && all[0].rows == 0..<4)
    #expect(abs(all[0].probabilities[1] - 0.7310586) < 1e-6)
    #expect(try router.weights(for: values) == all[0].weights)
    // Each by itself, the order of the inputs of a group does not matter to 10⁻¹².
    let turned = try router.route(Embeddings(values.reversed(), dimension: 2), pooling: .all)
    #expect(abs(turned[0].probabilities[0] - all[0].probabilities[1]) < 1e-12)
  }

  @Test func poolingHelpsWhereSingleInputsAreAmbiguous() throws {
    let classes = ["a", "b", "c"]
    let archive = try RoutedArchive(classes)
    var training = RouterTraining()
    training.kind = .linear
    training.fallbackRate = 0
    func blobs(_ seed: UInt64) throws -> Blobs { try Blobs(classes: 3, dimension: 4, each: 200, spread: 4, seed: seed) }
    try archive.open().put(
      training.fit(
        blobs(1).labelled(classes), validation: blobs(2).labelled(classes), classes: classes, provenance: noProvenance))
    let router = try Router(archive.open())
    let test = try blobs(3)
    func share(_ size: Int) throws -> Double {
      var (right, count) = (0, 0)
      for label in 0..<3 {
        let rows = test.labels.indices.filter { test.labels[$0] == label }
        let own = try Embeddings(rows.flatMap { test.embeddings[$0] }, dimension: 4)
        for routing in try router.route(own, pooling: .groups(of: size)) {
          count += 1
          if routing.probabilities[label] == routing.probabilities.max() { right += 1 }
        }
      }
      return Double(right) / Double(count)
    }
    let (single, grouped) = (try share(1), try share(8))
    #expect(single < 0.8 && grouped > single + 0.15, "\(single) and \(grouped)")
  }

  // TMP-11-8
  @Test func refusesLogitsThatOverflow() throws {
    let huge = Float(3e38)
    let layer = try LayeredRouter.Layer(inputs: 2, outputs: 2, bias: [0, 0], weights: [huge, huge, huge, huge])
    let model = RouterModel.layers(try LayeredRouter([layer, layer], slope: 1e300))
    #expect(code { _ = try model.logits(of: [-huge, -huge]) } == .nonFinite)
    #expect(code { _ = try model.logits(of: [1, 1]) } == nil)
    #expect(
      code {
        _ = try LayeredRouter.Layer(inputs: 1, outputs: 1, bias: [0], weights: [.nan])
      } == .nonFinite)
    #expect(
      code {
        _ = try LayeredRouter([layer, LayeredRouter.Layer(inputs: 3, outputs: 1, bias: [0], weights: [1, 1, 1])])
      } == .shapeMismatch)
  }

  // TMP-11-8: what a temperature or many inputs make of logits is not finite, though they are.
  @Test func refusesEvidenceThatOverflows() throws {
    let cold = try RoutingOptions(temperature: 1e-6)
    let huge = Float(1e38)
    let layers = try (0..<8).map { _ in
      try LayeredRouter.Layer(inputs: 2, outputs: 2, bias: [0, 0], weights: [huge, 0, 0, huge])
    }
    let router = try routed(["a", "b"], .layers(LayeredRouter(layers)))
    #expect(try route(router, [1, -1]) == [1, 0])
    #expect(code { _ = try router.weights(for: [1, -1], cold) } == .nonFinite)
    #expect(code { _ = try router.route(Embeddings([1, -1], dimension: 2), cold) } == .nonFinite)
    // One input after another says −1.1 · 10³⁰⁴ · 10³ for each class in turn.
    let rows = try Embeddings((0..<400).flatMap { $0 % 2 == 0 ? [1, -1] : [-1, 1] }, dimension: 2)
    let cool = try RoutingOptions(temperature: 1e-3)
    #expect(try router.route(rows, pooling: .each, cool).count == 400)
    #expect(code { _ = try router.route(rows, pooling: .all, cool) } == .nonFinite)
  }

  @Test func measuresNothingThatIsNotFinite() throws {
    let huge = Float(1e38)
    let layers = try (0..<8).map { _ in
      try LayeredRouter.Layer(inputs: 2, outputs: 2, bias: [0, 0], weights: [huge, 0, 0, huge])
    }
    let inputs = try LabelledEmbeddings(
      Embeddings([1, -1, -1, 1], dimension: 2, labels: [1, 0]), classes: ["a", "b"])
    var draft = try RouterDraft(
      classes: ["a", "b"], model: .layers(LayeredRouter(layers)), dtype: .f32, provenance: noProvenance)
    draft.temperature = 1e-6
    #expect(code { try draft.measure(on: inputs, fallbackRate: 0.1, calibrates: false) } == .nonFinite)
    let wide = try LabelledEmbeddings(Embeddings([1, -1, 0], dimension: 3, labels: [1]), classes: ["a", "b"])
    #expect(code { try draft.measure(on: wide, fallbackRate: 0.1) } == .shapeMismatch)
  }

  // TMP-11-7
  @Test func neighboursVote() throws {
    let model = try NeighbourRouter(
      classCount: 3, count: 3, centers: [1, 0], scales: [2, 1], labels: [0, 0, 1, 2, 2],
      vectors: [0, 0, 0.1, 0, 0, 0.2, 9, 9, -9, 9])
    // (1, 0) is at the origin of the scaled examples: the first three are nearest.
    let logits = try RouterModel.neighbours(model).logits(of: [1, 0])
    let expected = [2.5, 1.5, 0.5].map { $0 / 4.5 }
    let shares = try Router.shares(logits)
    for (share, expected) in zip(shares, expected) { #expect(abs(share - expected) < 1e-12) }
    #expect(
      code { _ = try NeighbourRouter(classCount: 2, count: 1, centers: [0], scales: [1], labels: [2], vectors: [0]) }
        == .malformed)
  }

  @Test func takesInputsOfItsDimensionOnly() throws {
    let router = try identity(["a", "b"])
    #expect(code { _ = try router.route(Embeddings([1, 2, 3], dimension: 3)) } == .shapeMismatch)
    #expect(code { _ = try router.weights(for: [1, 2, 3]) } == .shapeMismatch)
    #expect(code { _ = try router.weights(for: []) } == .shapeMismatch)
    #expect(code { _ = try router.weights(for: [1, .nan]) } == .nonFinite)
  }
}

extension Router {
  /// Probabilities of logits that are their logarithms.
  fileprivate static func shares(_ logits: [Double]) throws -> [Double] {
    // exp by way of the weights would round; this is what the definition says: Σ over all is 1.
    var shares: [Double] = []
    for logit in logits {
      var term = 1.0
      var sum = 1.0
      for k in 1..<60 {
        term *= logit / Double(k)
        sum += term
      }
      shares.append(sum)
    }
    return shares
  }
}
