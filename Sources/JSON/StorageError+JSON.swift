import TMPackByteIO

extension StorageError {
  /// For machines: `code` is stable; what is unknown is left out.
  package var members: JSONObject {
    var object: JSONObject = ["code": .string(code.rawValue), "message": .string(message)]
    object["file"] = file.map { .string($0) }
    object["byte"] = offset.map { JSONValue($0) }
    object["expert"] = expert.map { .string($0) }
    object["tensor"] = tensor.map { .string($0) }
    return object
  }
}
