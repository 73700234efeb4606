import TMPackByteIO
import TMPackTensorKit

/// How far a model is from the one that it is said to be made from, by a sample of its numbers.
///
/// Fine-tuning moves a weight by hundredths of itself, seldom by tenths. Two models that were trained, or drawn, apart have
/// matrices of no common direction: the distance is about √2 of the norm. So a base that is not the experts' shows, whatever the
/// names and shapes say.
package struct ModelChange: Sendable {
  /// Of the model.
  package let name: String
  /// ‖model − base‖ ÷ ‖base‖ over all tensors that both have; nil where none was looked at.
  package let relative: Double?
  /// The same of the matrix in the middle.
  package let median: Double?
  /// Matrices that were looked at, and how many of them have no direction in common with the base's.
  package let matrices: Int
  package let strangers: Int
  /// The base's.
  package let base: String

  private static let fewMatrices = 3
  /// Bytes of tensors that are read whole for it, where a source gives no pieces.
  private static let mostBytes = 64 << 20

  /// - Parameter base: may have other tensors, too.
  package init(of model: any TensorSource, named name: String, against base: any TensorSource) throws(StorageError) {
    self.name = name
    self.base = base.label
    var total = SampledChange()
    var ofMatrices: [Double] = []
    var (bytes, strangers) = (0, 0)
    for info in model.tensors {
      guard info.dtype.floatFormat != nil, let other = base.tensor(named: info.name), other.matches(info) else {
        continue
      }
      let pieces = (try model.piece(0..<0, of: info), try base.piece(0..<0, of: other))
      if pieces.0 == nil || pieces.1 == nil {
        guard bytes + info.byteCount <= Self.mostBytes else { continue }
        bytes += info.byteCount
      }
      var change = SampledChange()
      try change.add(info, of: model, against: other, of: base)
      total.add(change)
      if let (rows, columns) = info.shape.matrix, min(rows, columns) > 1, let relative = change.relative {
        ofMatrices.append(relative)
        if !change.isRelated { strangers += 1 }
      }
    }
    relative = total.relative
    matrices = ofMatrices.count
    self.strangers = strangers
    ofMatrices.sort()
    median = ofMatrices.isEmpty ? nil : ofMatrices[ofMatrices.count / 2]
  }

  /// Whether it looks as if the one had not been made from the other.
  package var isIndependent: Bool { matrices >= Self.fewMatrices && 2 * strangers > matrices }

  /// What a person should be asked then.
  package var question: String {
    let distance = Double(Int(((median ?? 0) * 100).rounded())) / 100
    return
      "\(strangers) of \(matrices) matrices of \(name) have nothing in common with those of \(base): half of all differ by \(distance) of their norm or more; is this the base that \(name) was fine-tuned from?"
  }
}
