import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackReading
import TMPackTensorKit

/// `verify` of a plain checkpoint.
struct ModelVerification {
  let path: String
  let against: String?
  let isFinite: Bool
  let trust: TrustOptions
  let work: WorkOptions
  let reporting: OutputOptions

  /// - Returns: whether all is as expected.
  func run() throws -> Bool {
    let checkpoint = try Checkpoint.open(path, mode: work.io)
    let expected = try against.map { try ModelDigests(contentsOf: $0) }
    let digests = try digested(checkpoint, checkingNumbers: isFinite, work, reporting)
    try checkpoint.checkUnchanged()
    var faults: [StorageError] = []
    var isWithoutFiles = false
    if let expected {
      // A single file has none; whether one misses some is known only where there is a place for them.
      isWithoutFiles = checkpoint.layout == .file && !expected.files.isEmpty
      faults = digests.faults(against: expected, withFiles: checkpoint.layout == .folder && !expected.files.isEmpty) {
        file(of: $0, in: checkpoint)
      }
    }
    if trust.isGiven {
      do throws(StorageError) { try trust.check(.checkpoint(tensors: digests.tensorsDigest), of: path) } catch {
        faults.append(error)
      }
    }
    report(faults, digests, isWithoutFiles: isWithoutFiles)
    return faults.isEmpty
  }

  private func file(of tensor: String, in checkpoint: Checkpoint) -> String {
    guard let info = checkpoint.source.tensor(named: tensor), let stored = try? checkpoint.source.stored(info) else {
      return checkpoint.source.label
    }
    return stored.range.file.path
  }

  private func report(_ faults: [StorageError], _ digests: ModelDigests, isWithoutFiles: Bool) {
    if reporting.json {
      var object: JSONObject = [
        "model": .string(path), "sound": .bool(faults.isEmpty), "tensors": JSONValue(digests.tensors.count),
        "tensors_digest": .string(digests.tensorsDigest.hexadecimal), "faults": .array(faults.map(\.json)),
      ]
      object["against"] = against.map { .string($0) }
      if isFinite { object["warnings"] = digests.checksJSON }
      return Console.result(.object(object))
    }
    for text in digests.checkTexts { Console.talk("warning: \(text)") }
    for fault in faults.prefix(Self.listLimit) { Console.talk("\(fault)") }
    if isWithoutFiles, let against {
      Console.talk("note: a single file has no other files: those of \(against) were not compared")
    }
    let count = counted(digests.tensors.count, "tensor")
    if faults.isEmpty {
      let equal = against.map { ", equal to \($0)" } ?? ""
      let signed = trust.isGiven ? ", signed by \(trust.signer.joined(separator: ", "))" : ""
      Console.result("\(path): \(count), digest \(digests.tensorsDigest)\(equal)\(signed)")
    } else {
      let more = faults.count > Self.listLimit ? ", the first \(Self.listLimit) listed" : ""
      Console.result("\(path): \(counted(faults.count, "fault"))\(more)")
    }
  }

  private static let listLimit = 100
}
