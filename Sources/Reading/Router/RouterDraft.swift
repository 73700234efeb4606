import TMPackArchiveFormat
import TMPackByteIO

/// A router that is not in an archive yet.
package struct RouterDraft: Sendable {
  /// Names of experts, in the order of the model's outputs.
  package let classes: [String]
  package let model: RouterModel
  /// What its weights are kept in; the model has been rounded to it.
  package let dtype: RouterDType
  package var temperature: Double?
  package var fallbackEntropy: Double?
  package var measures: RouterMeasures
  package var provenance: Provenance

  /// - Throws: `shapeMismatch` for another number of classes than the model's; `invalidArgument` for fewer than two, or one
  ///   given twice; `nonFinite` for weights beyond `dtype`.
  package init(
    classes: [String], model: RouterModel, dtype: RouterDType, provenance: Provenance
  ) throws(StorageError) {
    guard classes.count == model.classCount else {
      throw StorageError(
        .shapeMismatch, "the router has \(model.classCount) outputs, and \(classes.count) classes are named")
    }
    guard classes.count >= 2 else { throw StorageError(.invalidArgument, "a router needs two classes at least") }
    var seen: Set<ExactString> = []
    for name in classes where !seen.insert(ExactString(name)).inserted {
      throw StorageError(.invalidArgument, "the class '\(name)' is given twice")
    }
    self.classes = classes
    self.model = try model.rounded(to: dtype)
    self.dtype = dtype
    measures = RouterMeasures()
    self.provenance = provenance
  }

  /// Measures it on labelled inputs, sets the temperature that makes their loss least, and the entropy that the given
  /// share of them is above.
  ///
  /// Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, for the temperature.
  /// - Parameters:
  ///   - fallbackRate: share of the inputs that may fall back to the shared model; 0 sets no entropy.
  ///   - calibrates: false leaves the temperature as it is.
  /// - Throws: `shapeMismatch` for inputs of another dimension; `nonFinite` where the arithmetic overflows (TMP-11-8).
  package mutating func measure(
    on inputs: LabelledEmbeddings, fallbackRate: Double, calibrates: Bool = true
  ) throws(StorageError) {
    guard inputs.embeddings.dimension == model.dimension else {
      throw StorageError(
        .shapeMismatch,
        "the router takes \(model.dimension) numbers, and these embeddings have \(inputs.embeddings.dimension)")
    }
    var logits: [[Double]] = []
    for row in 0..<inputs.embeddings.rows { logits.append(try model.logits(of: inputs.embeddings[row])) }
    let calibration = Calibration(logits: logits, labels: inputs.labels)
    if calibrates { temperature = calibration.bestTemperature }
    let used = temperature ?? 1
    let loss = calibration.loss(temperature: used)
    guard loss.isFinite else {
      throw StorageError(.nonFinite, "the router's logits are too large to be divided by the temperature \(used)")
    }
    measures.accuracy = Measure(calibration.accuracy)
    measures.loss = Measure(loss)
    measures.validation = inputs.labels.count
    fallbackEntropy = fallbackRate > 0 ? calibration.entropy(aboveShare: fallbackRate, temperature: used) : nil
  }
}

/// Inputs whose classes are known, by number of class.
package struct LabelledEmbeddings: Sendable {
  package let embeddings: Embeddings
  /// One a row.
  package let labels: [Int]

  /// - Parameters:
  ///   - classes: what the labels are to number.
  ///   - given: what the embeddings' labels mean, unless they say it themselves.
  /// - Throws: `invalidArgument` without labels or for one that means nothing; `unknownName` for a class that is none
  ///   of `classes`.
  package init(_ embeddings: Embeddings, classes: [String], given: [String]? = nil) throws(StorageError) {
    guard let labels = embeddings.labels else {
      throw StorageError(.invalidArgument, "the embeddings have no labels: a vector of integers called \"labels\"")
    }
    let names = given ?? embeddings.classNames ?? classes
    var numbers: [Int?] = []
    for name in names { numbers.append(classes.firstIndex { $0.hasSameBytes(as: name) }) }
    var known: [Int] = []
    known.reserveCapacity(labels.count)
    for (row, label) in labels.enumerated() {
      guard label < names.count else {
        throw StorageError(
          .invalidArgument, "the label of row \(row) is \(label), and there are \(names.count) classes")
      }
      guard let number = numbers[label] else {
        throw StorageError(.unknownName, "the labels have the class '\(names[label])', and the router has not")
      }
      known.append(number)
    }
    self.embeddings = embeddings
    self.labels = known
  }

  package init(checked embeddings: Embeddings, labels: [Int]) {
    self.embeddings = embeddings
    self.labels = labels
  }
}
