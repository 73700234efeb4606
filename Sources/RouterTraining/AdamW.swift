/// Adam with decay apart from the gradient (Loshchilov and Hutter, Decoupled Weight Decay Regularization, ICLR 2019).
struct AdamW {
  let learningRate: Float
  let decay: Float
  private static let beta1: Float = 0.9
  private static let beta2: Float = 0.999
  private static let epsilon: Float = 1e-8
  private var firstMoments: [[Float]]
  private var secondMoments: [[Float]]
  private var power1: Float = 1
  private var power2: Float = 1

  init(parameters: [[Float]], learningRate: Float, decay: Float) {
    self.learningRate = learningRate
    self.decay = decay
    firstMoments = parameters.map { [Float](repeating: 0, count: $0.count) }
    secondMoments = firstMoments
  }

  /// One step against the gradients.
  /// - Parameter decays: which parameters decay.
  package mutating func step(_ parameters: inout [[Float]], _ gradients: [[Float]], decays: [Bool]) {
    power1 *= Self.beta1
    power2 *= Self.beta2
    let rate = learningRate / (1 - power1)
    let correction = 1 / (1 - power2)
    for index in parameters.indices {
      let kept = decays[index] ? 1 - learningRate * decay : 1
      let gradient = gradients[index]
      parameters[index].withUnsafeMutableBufferPointer { values in
        firstMoments[index].withUnsafeMutableBufferPointer { first in
          secondMoments[index].withUnsafeMutableBufferPointer { second in
            for i in values.indices {
              first[i] += (1 - Self.beta1) * (gradient[i] - first[i])
              second[i] += (1 - Self.beta2) * (gradient[i] * gradient[i] - second[i])
              values[i] =
                values[i] * kept - rate * first[i] / ((second[i] * correction).squareRoot() + Self.epsilon)
            }
          }
        }
      }
    }
  }
}
