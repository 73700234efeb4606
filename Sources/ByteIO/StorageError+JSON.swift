extension StorageError {
  /// For machines: `code` is stable, `exit` the process's exit code; what is unknown is left out.
  package var json: JSONValue {
    var object: JSONObject = [
      "code": .string(code.rawValue), "exit": JSONValue(code.family.rawValue), "message": .string(message),
    ]
    object["file"] = file.map { .string($0) }
    object["byte"] = offset.map { JSONValue($0) }
    object["expert"] = expert.map { .string($0) }
    object["tensor"] = tensor.map { .string($0) }
    return .object(object)
  }
}
