import ArchiveSupport
import TMPackByteIO
import TMPackFactorization
import TMPackReading
import TMPackRouterTraining
import TestSupport
import Testing

@Suite struct RouterTrainingTests {
  static let classes = ["a", "b", "c"]

  private func training(_ kind: RouterTraining.Kind) -> RouterTraining {
    var training = RouterTraining()
    training.kind = kind
    training.hidden = [24, 12]
    training.dropout = 0.2
    training.learningRate = 0.005
    training.batchSize = 32
    training.neighbours = 7
    return training
  }

  private func fit(
    _ training: RouterTraining, spread: Double = 1, _ progress: (RouterTraining.Epoch) -> Void = { _ in }
  )
    throws -> RouterDraft
  {
    try training.fit(
      Blobs(classes: 3, dimension: 8, each: 100, spread: spread, seed: 1).labelled(Self.classes),
      validation: Blobs(classes: 3, dimension: 8, each: 40, spread: spread, seed: 2).labelled(Self.classes),
      classes: Self.classes, provenance: noProvenance, progress: progress)
  }

  @Test(arguments: RouterTraining.Kind.allCases) func learnsBlobs(_ kind: RouterTraining.Kind) throws {
    let draft = try fit(training(kind))
    #expect(try #require(draft.measures.accuracy).value > 0.97)
    #expect(try #require(draft.measures.loss).value < 0.15)
    #expect(draft.measures.examples == 300 && draft.measures.validation == 120)
    // Numbers that are a thousand times their spread apart from 0, or scaled by 100, cost nothing.
    #expect(draft.model.dimension == 8 && draft.model.classCount == 3)
  }

  @Test(arguments: RouterTraining.Kind.allCases) func givesTheSameRouterAgain(_ kind: RouterTraining.Kind) throws {
    let archives = try (0..<3).map { _ in try RoutedArchive(Self.classes) }
    var own = training(kind)
    own.examples = 50
    for (number, archive) in archives.enumerated() {
      own.seed = number < 2 ? 5 : 6
      try archive.open().put(fit(own))
    }
    let digests = try archives.map { try Router($0.open()).digest }
    #expect(digests[0] == digests[1])
    #expect(digests[0] != digests[2])
  }

  @Test func tellsOfEveryEpochAndStopsEarly() throws {
    var epochs: [RouterTraining.Epoch] = []
    var own = training(.mlp)
    own.patience = 2
    own.epochs = 200
    let draft = try fit(own, spread: 6) { epochs.append($0) }
    #expect(epochs.map(\.number) == Array(1...epochs.count))
    #expect(epochs.count < 200)
    // The best is two epochs back.
    let best = epochs.min { $0.validationLoss < $1.validationLoss }!
    #expect(best.number == epochs.count - 2)
    // The stored router is that one, but for its dtype and temperature.
    #expect(abs(try #require(draft.measures.accuracy).value - best.validationAccuracy) < 0.02)
    #expect(try #require(draft.measures.loss).value < best.validationLoss + 0.01)
  }

  // The temperature makes the loss least, so that it says how sure one can be.
  @Test func calibrates() throws {
    var own = training(.mlp)
    own.fallbackRate = 0
    let inputs = try Blobs(classes: 3, dimension: 8, each: 40, spread: 6, seed: 2).labelled(Self.classes)
    var draft = try fit(own, spread: 6)
    let loss = try #require(draft.measures.loss).value
    let best = try #require(draft.temperature)
    #expect(draft.fallbackEntropy == nil)
    for factor in [0.8, 0.95, 1.05, 1.25] {
      draft.temperature = best * factor
      try draft.measure(on: inputs, fallbackRate: 0, calibrates: false)
      #expect(try #require(draft.measures.loss).value >= loss - 1e-6)
    }
  }

  // Inputs that are all right must not make a router that is sure of everything.
  @Test func staysUnsureWhereAllIsRight() throws {
    let draft = try fit(training(.mlp), spread: 0.2)
    #expect(try #require(draft.measures.accuracy).value == 1)
    #expect(try #require(draft.temperature) > 0.1)
    #expect(try #require(draft.measures.loss).value > 1e-4)
  }

  @Test func storesAnEntropyThatFewExceed() throws {
    var own = training(.linear)
    own.fallbackRate = 0.05
    let archive = try RoutedArchive(Self.classes)
    try archive.open().put(fit(own, spread: 6))
    let router = try Router(archive.open())
    let inputs = try Blobs(classes: 3, dimension: 8, each: 40, spread: 6, seed: 2)
    let fallen = try router.route(inputs.embeddings).count(where: \.fellBack)
    #expect(fallen <= 6 && fallen > 0)
  }

  // Few inputs make few steps in a pass: it takes more passes then.
  @Test func fewInputsArePassedOverMoreOften() throws {
    var own = RouterTraining()
    #expect(own.epochs(of: 100_000) == 50 && own.epochs(of: 100) == 2500 && own.epochs(of: 1280) == 250)
    own.epochs = 3
    #expect(own.epochs(of: 100) == 3)
    own.epochs = nil
    own.batchSize = .max
    #expect(own.epochs(of: 100) == 2500 && own.epochs(of: .max) == 2500)
    own = RouterTraining()
    own.kind = .linear
    #expect(try #require(fit(own).measures.accuracy).value > 0.97)
  }

  @Test func holdsOutOfEveryClass() throws {
    let labelled = try Blobs(classes: 3, dimension: 2, each: 20, seed: 1).labelled(Self.classes)
    let (training, held) = try labelled.split(holdingOut: 0.1, seed: 3)
    #expect(training.labels.count == 54 && held.labels.count == 6)
    #expect((0..<3).allSatisfy { label in held.labels.count { $0 == label } == 2 })
    #expect(code { _ = try labelled.split(holdingOut: 0, seed: 1) } == .invalidArgument)
    #expect(code { _ = try labelled.split(holdingOut: 1, seed: 1) } == .invalidArgument)
    let few = try LabelledEmbeddings(Embeddings([1, 2], dimension: 1, labels: [0, 1]), classes: ["a", "b"])
    #expect(code { _ = try few.split(holdingOut: 0.5, seed: 1) } == .invalidArgument)
  }

  // A number that never changes says nothing, and must not be divided by its deviation.
  @Test(arguments: RouterTraining.Kind.allCases) func livesWithConstants(_ kind: RouterTraining.Kind) throws {
    let blobs = try Blobs(classes: 3, dimension: 8, each: 60, seed: 4)
    let values = blobs.embeddings.values.enumerated().map { $0.offset % 8 == 3 ? Float(1e8) : $0.element }
    let labelled = try LabelledEmbeddings(Embeddings(values, dimension: 8, labels: blobs.labels), classes: Self.classes)
    let draft = try training(kind).fit(
      labelled, validation: labelled, classes: Self.classes, provenance: noProvenance)
    #expect(try #require(draft.measures.accuracy).value > 0.9)
  }

  @Test func refusesWhatNothingCanBeFittedTo() throws {
    let labelled = try Blobs(classes: 3, dimension: 4, each: 10, seed: 1).labelled(Self.classes)
    func code(_ edit: (inout RouterTraining) -> Void, classes: [String] = Self.classes) -> StorageError.Code? {
      var own = training(.mlp)
      edit(&own)
      return TestSupport.code {
        _ = try own.fit(labelled, validation: labelled, classes: classes, provenance: noProvenance)
      }
    }
    #expect(code({ _ in }) == nil)
    #expect(code({ $0.hidden = [] }) == .invalidArgument)
    #expect(code({ $0.hidden = [0] }) == .invalidArgument)
    #expect(code({ $0.hidden = [65_537] }) == .limitExceeded)
    #expect(code({ $0.hidden = [65_536, 65_536] }) == .limitExceeded)
    #expect(code({ $0.hidden = [Int](repeating: 2, count: 16) }) == .limitExceeded)
    #expect(code({ $0.dropout = 1 }) == .invalidArgument)
    #expect(code({ $0.labelSmoothing = 1 }) == .invalidArgument)
    #expect(code({ $0.learningRate = .nan }) == .invalidArgument)
    #expect(code({ $0.weightDecay = -1 }) == .invalidArgument)
    #expect(code({ $0.batchSize = 1 }) == .invalidArgument)
    #expect(code({ $0.epochs = 0 }) == .invalidArgument)
    #expect(code({ $0.epochs = .max }) == .invalidArgument)
    #expect(code({ $0.patience = 0 }) == .invalidArgument)
    #expect(code({ $0.fallbackRate = 1 }) == .invalidArgument)
    #expect(code({ $0.slope = -1 }) == .invalidArgument)
    // Above binary32, which networks are trained in; a linear one has no rectifier that it would show in.
    #expect(code({ ($0.kind, $0.slope) = (.linear, 1e300) }) == .invalidArgument)
    // A batch of more inputs than there are is all of them.
    #expect(code({ ($0.batchSize, $0.epochs, $0.patience) = (.max, 2, .max) }) == nil)
    #expect(code({ $0.learningRate = 1e30 }) == .nonFinite)
    // One class has no input.
    #expect(code({ _ in }, classes: Self.classes + ["d"]) == .invalidArgument)
    let other = try Blobs(classes: 3, dimension: 5, each: 10, seed: 1).labelled(Self.classes)
    #expect(
      TestSupport.code {
        _ = try training(.linear).fit(
          labelled, validation: other, classes: Self.classes, provenance: noProvenance)
      } == .shapeMismatch)
  }

  @Test func namesClassesThatAreNone() throws {
    let embeddings = try Embeddings([1, 2, 3], dimension: 1, labels: [0, 1, 1], classNames: ["b", "x"])
    let error = failure { _ = try LabelledEmbeddings(embeddings, classes: ["a", "b"]) }
    #expect(error?.code == .unknownName && error?.message.contains("'x'") == true)
    #expect(try LabelledEmbeddings(embeddings, classes: ["x", "b"]).labels == [1, 0, 0])
    #expect(try LabelledEmbeddings(embeddings, classes: ["a", "b"], given: ["a", "b"]).labels == [0, 1, 1])
    #expect(code { _ = try LabelledEmbeddings(embeddings, classes: ["b", "x"], given: ["b"]) } == .invalidArgument)
    let unlabelled = try Embeddings([1], dimension: 1)
    #expect(code { _ = try LabelledEmbeddings(unlabelled, classes: ["a", "b"]) } == .invalidArgument)
  }

  // MARK: Derivatives

  /// Along each block of parameters the loss changes as its derivatives say: by central differences.
  @Test(arguments: [[], [6], [7, 5]] as [[Int]]) func derivativesAgreeWithDifferences(_ hidden: [Int]) throws {
    var random = RandomBits(seed: 3)
    let blobs = try Blobs(classes: 3, dimension: 4, each: 6, spread: 2, seed: 9)
    // Small numbers: binary32 has to resolve the differences.
    let batch = blobs.embeddings.values.enumerated().map { index, x in
      let j = index % 4
      return (x - (j == 2 ? 1000 : 0)) / (j == 1 ? 100 : 1)
    }
    var network = RouterNetwork(
      dimension: 4, hidden: hidden, classCount: 3, slope: 0.1, dropout: 0.25, smoothing: 0.2, using: &random)
    // The same mask each time.
    func loss(_ parameters: [[Float]]) -> Double {
      var copy = network
      copy.parameters = parameters
      var mask = RandomBits(seed: 11)
      return copy.gradients(batch, labels: blobs.labels, using: &mask).loss
    }
    // Away from the start, where scales are 1 and shifts 0.
    var parameters = network.parameters
    for index in parameters.indices {
      for i in parameters[index].indices {
        parameters[index][i] += Float(0.2) * (2 * Float(random.next() >> 40) * 0x1p-24 - 1)
      }
    }
    network.parameters = parameters
    var mask = RandomBits(seed: 11)
    var copy = network
    let gradients = copy.gradients(batch, labels: blobs.labels, using: &mask).gradients
    #expect(gradients.map(\.count) == parameters.map(\.count))
    for index in parameters.indices {
      let norm = gradients[index].reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
      try #require(norm > 1e-4)
      // Along the derivatives, and across them along each of some directions.
      for trial in 0..<4 {
        var direction = gradients[index].map { own in trial == 0 ? own : 2 * Float(random.next() >> 40) * 0x1p-24 - 1 }
        let length = direction.reduce(0) { $0 + $1 * $1 }.squareRoot()
        for i in direction.indices { direction[i] /= length }
        let step: Float = 1e-3
        var (up, down) = (parameters, parameters)
        for i in direction.indices {
          up[index][i] += step * direction[i]
          down[index][i] -= step * direction[i]
        }
        let difference = (loss(up) - loss(down)) / Double(2 * step)
        let expected = zip(gradients[index], direction).reduce(0) { $0 + Double($1.0) * Double($1.1) }
        #expect(abs(difference - expected) < 0.005 * norm + 5e-4, "block \(index): \(difference) and \(expected)")
      }
    }
  }
}
