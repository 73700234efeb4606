import TMPackByteIO

// Measures the ways to store a frame's bytes, and those to store a matrix with an error, in memory and on one thread.
//
//     codec-benchmark frames BASE EXPERT PIECES [FOLDER]    lossless: pieces of 1 MiB, alone and against the base
//     codec-benchmark factors BASE EXPERT MATRICES          lossy: matrices of the difference
//
// Prints JSON: bytes and the CPU seconds of the best of some rounds. Into FOLDER go the pieces themselves, for others to be measured on.

let arguments = CommandLine.arguments.dropFirst().map { $0 }
guard arguments.count >= 4, let count = Int(arguments[3]), count > 0 else {
  fatalError("usage: codec-benchmark frames|factors BASE EXPERT COUNT [FOLDER]")
}
let pairs = try Pair.all(arguments[1], arguments[2])

func line(_ name: String, _ cost: Cost, _ more: String = "") -> String {
  #"{"name": "\#(name)", "stored": \#(cost.stored), "encode_s": \#(cost.encoding), "decode_s": \#(cost.decoding)\#(more)}"#
}

func write(_ bytes: [[UInt8]], to path: String) throws {
  let file = try AtomicFile(path, replacing: true)
  for piece in bytes { try piece.withUnsafeBytes { try file.write($0) } }
  try file.commit()
}

switch arguments[0] {
case "frames":
  let sample = try Sample(pairs, count: count)
  if arguments.count > 4 {
    try write(sample.pieces.map(\.base), to: arguments[4] + "/base")
    try write(sample.pieces.map(\.expert), to: arguments[4] + "/expert")
  }
  let parts = try [true, false].map { alone in
    let costs = try sample.ways(alone: alone).map { way in
      line(way.name, try way.codec.cost(of: sample, alone: alone, rounds: way.rounds))
    }
    return #""\#(alone ? "alone" : "difference")": [\#(costs.joined(separator: ", "))]"#
  }
  print(#"{"dtype": "\#(sample.dtype.rawValue)", "raw": \#(sample.size), \#(parts.joined(separator: ", "))}"#)
default:
  let rank = 16
  let suitable = pairs.filter { $0.info.shape.matrix != nil && $0.info.byteCount >= 1 << 16 }
  let taken = min(count, suitable.count)
  let matrices = try (0..<taken).compactMap { try Matrix(suitable[$0 * suitable.count / taken], rank: rank) }
  let costs = try FactorCodec.all(rank: rank).map { codec in
    let (cost, error) = try codec.cost(of: matrices, rounds: 3)
    return line(
      codec.name, cost, #", "error": \#(error), "numbers": \#(matrices.reduce(0) { $0 + codec.numbers($1) })"#)
  }
  let elements = matrices.reduce(0) { $0 + $1.values.count }
  print(#"{"matrices": \#(matrices.count), "elements": \#(elements), "factors": [\#(costs.joined(separator: ", "))]}"#)
}
