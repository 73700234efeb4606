import TMPackArchiveFormat
import TMPackByteIO
import TMPackDigests
import TMPackTensorKit

extension Verification {
  /// Makes the mix of a receipt again and compares it with what the receipt says.
  ///
  /// - Parameter inputs: the embeddings that the receipt's router saw: its weights are then computed again, too.
  /// - Returns: a fault for each tensor that is another one, and for everything else that does not agree.
  /// - Throws: `invalidArgument` for inputs where no router was used; what keeps it from going on.
  package func prove(
    _ receipt: MixReceipt, inputs: Embeddings? = nil, progress: @escaping (WorkProgress) -> Void = { _ in }
  ) throws(StorageError) -> VerificationFindings {
    var findings = VerificationFindings()
    func report(_ error: StorageError) {
      findings.add(error.at(file: archive.path))
    }
    guard receipt.archive == archive.rootDigest else {
      report(
        StorageError(
          .digestMismatch, "the receipt is of the archive \(receipt.archive); this one is \(archive.rootDigest)"))
      return findings
    }
    if let inputs {
      guard let routed = receipt.routed else {
        throw StorageError(.invalidArgument, "the weights of this receipt came from no router", file: archive.path)
      }
      for error in try proveRouting(receipt, routed, inputs) { report(error) }
    }
    let reconstructor = try Reconstructor(archive, memoryLimit: 0)
    let mix =
      receipt.isExact
      ? try reconstructor.exact(try receipt.exactExpert(archive))
      : try reconstructor.mix(receipt.weights, dtype: receipt.dtype)
    let source = TensorSelection(
      of: mix, including: try receipt.patterns.map { text throws(StorageError) in try Glob(text) })
    for tensor in receipt.tensors where source.tensor(named: tensor.info.name) == nil {
      report(StorageError(.digestMismatch, "is in the receipt, but not in the mix", tensor: tensor.info.name))
    }
    let infos = source.tensors
    var done: UInt64 = 0
    let total = source.byteCount
    let claimed = Dictionary(receipt.tensors.map { (ExactString($0.info.name), $0) }) { first, _ in first }
    try pipeline.run(infos.count) { index -> StorageError? in
      let info = infos[index]
      return errorThrown { () throws(StorageError) in
        try located(tensor: info.name) { () throws(StorageError) in
          guard let tensor = claimed[ExactString(info.name)] else {
            throw StorageError(.digestMismatch, "is in the mix, but not in the receipt")
          }
          guard tensor.info.matches(info) else {
            throw StorageError(
              .digestMismatch,
              "is \(info.dtype.rawValue) \(info.shape); the receipt says \(tensor.info.dtype.rawValue) \(tensor.info.shape)"
            )
          }
          let actual = try source.bytes(of: info).withBytes { ContentDigest(of: $0) }
          guard actual == tensor.digest else {
            throw StorageError(.digestMismatch, "has digest \(actual); the receipt says \(tensor.digest)")
          }
        }
      }
    } consume: { index, error in
      done += UInt64(infos[index].byteCount)
      progress(WorkProgress(stage: "proving the receipt", done: done, total: total))
      if let error { report(error) }
    }
    return findings
  }

  /// How far weights and entropies may differ that were computed twice (TMP-11-12).
  private static let tolerance = 1e-6

  private func proveRouting(
    _ receipt: MixReceipt, _ routed: MixReceipt.Routed, _ inputs: Embeddings
  ) throws(StorageError) -> [StorageError] {
    let router = try Router(archive)
    guard router.digest == routed.router else {
      return [
        StorageError(.digestMismatch, "the receipt is of the router \(routed.router); this one is \(router.digest)")
      ]
    }
    guard inputs.digest == routed.inputs, inputs.rows == routed.rows, inputs.dimension == routed.dimension else {
      return [
        StorageError(.digestMismatch, "the receipt is of the inputs \(routed.inputs); these are \(inputs.digest)")
      ]
    }
    let options = try RoutingOptions(
      temperature: routed.temperature, top: routed.top, threshold: routed.threshold,
      fallback: routed.fallbackEntropy.map { .above($0) } ?? .never)
    let routing = try router.route(inputs, pooling: .all, options)[0]
    var errors: [StorageError] = []
    for (own, claimed) in zip(routing.weights.entries, receipt.weights.entries)
    where !own.name.hasSameBytes(as: claimed.name) || Double(abs(own.weight - claimed.weight)) > Self.tolerance {
      errors.append(
        StorageError(
          .digestMismatch,
          "the router gives the weight \(own.weight); the receipt says \(claimed.name)=\(claimed.weight)",
          expert: own.name))
    }
    if routing.weights.entries.count != receipt.weights.entries.count {
      errors.append(StorageError(.digestMismatch, "the receipt has weights that the router does not give"))
    }
    if abs(routing.entropy - routed.entropy) > Self.tolerance || routing.fellBack != routed.fellBack {
      errors.append(
        StorageError(
          .digestMismatch, "the router's entropy is \(routing.entropy); the receipt says \(routed.entropy)"))
    }
    return errors
  }
}

extension MixReceipt {
  /// The one expert that was rebuilt to the bit.
  fileprivate func exactExpert(_ archive: Archive) throws(StorageError) -> String {
    guard weights.entries.count == 1, weights.entries[0].weight == 1, dtype == nil else {
      throw StorageError(.malformed, "a receipt of an exact expert has other weights or a dtype", file: archive.path)
    }
    return weights.entries[0].name
  }
}
