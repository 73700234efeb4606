import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackReading
import TMPackTensorKit

/// What `inspect` says of a plain checkpoint.
struct ModelInspection {
  let checkpoint: Checkpoint
  let listsTensors: Bool

  private var parameters: Int { checkpoint.source.tensors.reduce(0) { $0 + $1.shape.elementCount } }
  private var bytes: UInt64 { checkpoint.source.tensors.reduce(0) { $0 + UInt64($1.byteCount) } }

  /// Tensors by dtype, the most frequent first.
  private var dtypes: [(name: String, count: Int)] {
    Dictionary(grouping: checkpoint.source.tensors, by: \.dtype.rawValue).map { ($0.key, $0.value.count) }
      .sorted { ($1.count, $0.name) < ($0.count, $1.name) }
  }

  func print() {
    let source = checkpoint.source
    let sizes = "\(counted(source.tensors.count, "tensor")), \(parameters) parameters, \(ByteSize.text(bytes))"
    let kinds = dtypes.map { "\($0.count) \($0.name)" }.joined(separator: ", ")
    Console.result("\(checkpoint.path)  \(sizes)\(kinds.isEmpty ? "" : ": \(kinds)")")
    Console.result("weights  " + checkpoint.weightFiles.map(FileTree.lastComponent).joined(separator: ", "))
    if !checkpoint.carriedFiles.isEmpty {
      Console.result("files    " + checkpoint.carriedFiles.map(\.name.text).joined(separator: ", "))
    }
    for note in checkpoint.notes + checkpoint.skippedNotes() { Console.result("note     \(note)") }
    if listsTensors {
      var table = TextTable(["tensor", "dtype", "shape", "bytes"], leftColumns: [0, 1, 2])
      for info in source.tensors {
        table.add([info.name, info.dtype.rawValue, "\(info.shape)", String(info.byteCount)])
      }
      Console.result("")
      Console.result(table)
    }
  }

  var json: JSONValue {
    var object: JSONObject = [
      "model": .string(checkpoint.path), "tensors": JSONValue(checkpoint.source.tensors.count),
      "parameters": JSONValue(parameters), "bytes": JSONValue(bytes),
      "dtypes": .object(JSONObject(dtypes.map { ($0.name, JSONValue($0.count)) })),
      "weight_files": .array(checkpoint.weightFiles.map { .string($0) }),
      "files": .array(checkpoint.carriedFiles.map { .string($0.name.text) }),
      "notes": .array((checkpoint.notes + checkpoint.skippedNotes()).map { .string($0) }),
    ]
    if listsTensors {
      object["tensor_list"] = .array(
        checkpoint.source.tensors.map { info in
          [
            "name": .string(info.name), "dtype": .string(info.dtype.rawValue),
            "shape": .array(info.shape.dimensions.map { JSONValue($0) }), "bytes": JSONValue(info.byteCount),
          ]
        })
    }
    return .object(object)
  }
}
