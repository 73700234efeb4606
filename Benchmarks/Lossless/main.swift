import TMPack
import Timing

// Measures what lossless packing costs, without files, threads and digests of whole tensors around it.
//
//     lossless-benchmark ARCHIVE EXPERT [ROUNDS]
//
// Of an archive that `pack --lossless` made, prints the bytes and the CPU seconds of one thread, the best of the rounds:
// of the expert's differences, and of the shared model, which is stored without a reference.

/// One way to store tensors: how many raw bytes, into how many, and how long it took.
struct Cost {
  var raw = 0
  var stored = 0
  var encoding = 0.0
  var decoding = 0.0

  var text: String {
    #"{"raw": \#(raw), "stored": \#(stored), "encode_s": \#(encoding), "decode_s": \#(decoding)}"#
  }
}

let arguments = CommandLine.arguments.dropFirst().map { $0 }
guard arguments.count >= 2 else { fatalError("usage: lossless-benchmark ARCHIVE EXPERT [ROUNDS]") }
let rounds = arguments.count > 2 ? Int(arguments[2]) ?? 3 : 3
let archive = try Archive(arguments[0])
let payloads = archive.file.payloads
let shared = try archive.file.sharedSection()
let expert = try archive.file.expertSection(archive.file.expertIndex(named: arguments[1]))

var alone = Cost()
for entry in shared.manifest.tensors {
  guard let payload = entry.payload else { continue }
  let dtype = entry.info.dtype
  var bytes: [UInt8] = []
  alone.decoding += try Clock.thread.seconds(rounds: rounds) { bytes = try payloads.bytes(of: payload, in: shared) }
  alone.raw += bytes.count
  var encoded: EncodedPayload?
  alone.encoding += bytes.withUnsafeBytes { raw in
    Clock.thread.seconds(rounds: rounds) { encoded = EncodedPayload(tensor: raw, dtype: dtype, level: 3) }
  }
  alone.stored += encoded!.storedSize
}

var difference = Cost()
for entry in expert.manifest.tensors {
  guard case .difference(let payload) = entry.factor, let base = shared.manifest.entry(named: entry.name),
    let basePayload = base.payload
  else { continue }
  let reference = try payloads.bytes(of: basePayload, in: shared)
  let dtype = base.info.dtype
  var tensor = [UInt8](repeating: 0, count: reference.count)
  difference.decoding += try Clock.thread.seconds(rounds: rounds) {
    let stored = try payloads.bytes(of: payload, in: expert)
    stored.withUnsafeBytes { raw in
      reference.withUnsafeBytes { base in
        tensor.withUnsafeMutableBytes { ExactDifference.decode(raw, against: base, dtype: dtype, into: $0) }
      }
    }
  }
  difference.raw += tensor.count
  let shared = TensorBytes(reference)
  var encoded: EncodedPayload?
  difference.encoding += try tensor.withUnsafeBytes { own in
    try Clock.thread.seconds(rounds: rounds) {
      encoded = try EncodedPayload(differenceOf: own, against: shared, dtype: dtype, level: 3)
    }
  }
  difference.stored += encoded!.storedSize
}
print(#"{"alone": \#(alone.text), "difference": \#(difference.text)}"#)
