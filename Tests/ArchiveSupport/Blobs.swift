import TMPackReading
import TestSupport

/// Inputs of some classes: Gaussian blobs around centres of their own, on scales that differ by number.
package struct Blobs {
  package let embeddings: Embeddings
  package let labels: [Int]

  /// - Parameter spread: of a blob; the centres are about 2 apart in each number.
  package init(classes: Int, dimension: Int, each count: Int, spread: Double = 1, seed: UInt64) throws {
    var random = SeededGenerator(seed: 99)
    let centers = (0..<classes).map { _ in (0..<dimension).map { _ in Float(2 * random.noise()) } }
    random = SeededGenerator(seed: seed)
    var values: [Float] = []
    var labels: [Int] = []
    for row in 0..<count * classes {
      let label = row % classes
      for j in 0..<dimension {
        let x = centers[label][j] + Float(spread) * random.noise()
        values.append(x * (j == 1 ? 100 : 1) + (j == 2 ? 1000 : 0))
      }
      labels.append(label)
    }
    self.labels = labels
    embeddings = try Embeddings(values, dimension: dimension, labels: labels)
  }

  package func labelled(_ classes: [String]) throws -> LabelledEmbeddings {
    try LabelledEmbeddings(embeddings, classes: classes)
  }
}
