import TMPackByteIO
import TMPackTensorKit

extension TensorSource {
  /// How many tensors a model may lack as copies of others.
  private var mostCopies: Int { 16 }

  /// The same model with names that it lacks and another has for copies, to the bit, of tensors that both have: what is tied, one
  /// file keeps once and another twice.
  package func completed(withCopiesIn other: any TensorSource) throws(StorageError) -> any TensorSource {
    let lacking = other.tensors.filter { tensor(named: $0.name) == nil }
    guard lacking.count <= mostCopies else { return self }
    var aliases: [String: String] = [:]
    for info in lacking {
      let twin = try other.twin(of: info) { tensor(named: $0.name)?.matches($0) == true }
      aliases[info.name] = twin?.name
    }
    return try aliased(aliases)
  }
}
