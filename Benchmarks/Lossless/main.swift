import TMPackArchiveFormat
import TMPackFactors
import TMPackReading
import TMPackTensorKit
import Timing

// Measures what lossless packing costs, without files, threads and digests of whole tensors around it.
//
//     lossless-benchmark ARCHIVE EXPERT [ROUNDS]
//
// Of an archive that `pack --lossless` made, prints the bytes and the CPU seconds, the best of the rounds:
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

/// Tensors whose payloads are decoded at once: small ones share a frame, which is decoded as a whole.
struct Batch {
  typealias Member = (entry: SharedEntry, payload: PayloadReference)
  /// In the order of their payloads, each once.
  let members: [Member]

  static func all(_ members: [Member]) -> [Batch] {
    Dictionary(grouping: members.filter { $0.payload.size > 0 }) { $0.payload.first }.sorted { $0.key < $1.key }.map {
      var members: [Member] = []
      for member in $0.value.sorted(by: { $0.payload.skip < $1.payload.skip })
      where members.last?.payload.skip != member.payload.skip {
        members.append(member)
      }
      return Batch(members: members)
    }
  }

  /// From the first byte of the frames to the last one wanted.
  var whole: PayloadReference {
    let last = members.last!.payload
    return PayloadReference(first: last.first, count: last.count, skip: 0, size: last.skip + last.size)
  }

  /// Raw bytes of the tensors.
  var size: Int { members.reduce(0) { $0 + $1.payload.size } }

  var dtype: DType { members[0].entry.info.dtype }

  /// Calls `body` with each tensor's dtype, the place of its payload, and the parts of three buffers of all of them.
  func forEach(
    _ a: [UInt8], _ b: [UInt8], into c: inout [UInt8],
    _ body: (DType, Int, UnsafeRawBufferPointer, UnsafeRawBufferPointer, UnsafeMutableRawBufferPointer) -> Void
  ) {
    a.withUnsafeBytes { a in
      b.withUnsafeBytes { b in
        c.withUnsafeMutableBytes { c in
          for (entry, payload) in members {
            let range = payload.skip..<payload.skip + payload.size
            body(
              entry.info.dtype, payload.skip, UnsafeRawBufferPointer(rebasing: a[range]),
              UnsafeRawBufferPointer(rebasing: b[range]), UnsafeMutableRawBufferPointer(rebasing: c[range]))
          }
        }
      }
    }
  }
}

struct Measurement {
  let payloads: PayloadReader
  let shared: Section<SharedManifest>
  let rounds: Int

  private func encoded(_ bytes: [UInt8], _ coding: PayloadCoding, _ boundaries: [Int]) -> EncodedPayload {
    bytes.withUnsafeBytes {
      EncodedPayload($0, coding, boundaries: boundaries, isShared: true, level: PayloadCoding.defaultLevel)
    }
  }

  /// The shared model's tensors, which are stored without a reference.
  func sharedModel() throws -> Cost {
    var cost = Cost()
    for batch in Batch.all(shared.manifest.tensors.compactMap { entry in entry.payload.map { (entry, $0) } }) {
      var bytes: [UInt8] = []
      cost.decoding += try Clock.process.seconds(rounds: rounds) {
        bytes = try payloads.bytes(of: batch.whole, in: shared)
      }
      cost.raw += batch.size
      let width = batch.dtype.planeWidth
      let coding: PayloadCoding = batch.dtype.floatFormat == nil ? .elements(width: width) : .floats(width: width)
      let boundaries = batch.members.map(\.payload.skip).filter { $0 > 0 }
      var payload: EncodedPayload?
      cost.encoding += Clock.process.seconds(rounds: rounds) { payload = encoded(bytes, coding, boundaries) }
      cost.stored += payload!.storedSize
    }
    return cost
  }

  /// The tensors of an expert that differ from the shared model's.
  func differences(of expert: Section<ExpertManifest>) throws -> Cost {
    var cost = Cost()
    let members: [Batch.Member] = expert.manifest.tensors.compactMap {
      guard case .difference(let payload) = $0.factor else { return nil }
      return (shared.manifest.entry(named: $0.name)!, payload)
    }
    for batch in Batch.all(members) {
      let whole = batch.whole
      var references = [UInt8](repeating: 0, count: whole.size)
      for (entry, payload) in batch.members {
        let reference = try payloads.bytes(of: entry.payload!, in: shared)
        references.replaceSubrange(payload.skip..<payload.skip + payload.size, with: reference)
      }
      var tensors = [UInt8](repeating: 0, count: whole.size)
      cost.decoding += try Clock.process.seconds(rounds: rounds) {
        let stored = try payloads.bytes(of: whole, in: expert)
        batch.forEach(stored, references, into: &tensors) { dtype, _, difference, reference, tensor in
          ExactDifference.decode(difference, against: reference, dtype: dtype, into: tensor)
        }
      }
      cost.raw += batch.size
      var difference = [UInt8](repeating: 0, count: whole.size)
      var payload: EncodedPayload?
      cost.encoding += Clock.process.seconds(rounds: rounds) {
        var boundaries: [Int] = []
        batch.forEach(tensors, references, into: &difference) { dtype, start, own, reference, difference in
          if start > 0 { boundaries.append(start) }
          boundaries += ExactDifference.encode(own, against: reference, dtype: dtype, into: difference).map {
            start + $0
          }
        }
        payload = encoded(difference, .differences(width: batch.dtype.planeWidth), boundaries)
      }
      cost.stored += payload!.storedSize
    }
    return cost
  }
}

let arguments = CommandLine.arguments.dropFirst().map { $0 }
guard arguments.count >= 2 else { fatalError("usage: lossless-benchmark ARCHIVE EXPERT [ROUNDS]") }
let file = try Archive(arguments[0]).file
let measurement = Measurement(
  payloads: file.payloads, shared: try file.sharedSection(), rounds: arguments.count > 2 ? Int(arguments[2]) ?? 3 : 3)
let expert = try file.expertSection(file.expertIndex(named: arguments[1]))
print(
  #"{"alone": \#(try measurement.sharedModel().text), "difference": \#(try measurement.differences(of: expert).text)}"#)
