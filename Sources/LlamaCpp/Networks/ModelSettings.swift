import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackModels

/// What `config.json` says of a network. Of a model of several parts it is `text_config`, and the whole for what that lacks.
struct ModelSettings: Sendable {
  static let fileName = "config.json"

  let modelType: String
  private let text: ConfigurationText
  private let parts: [[String]]

  /// nil where there is no such file, or it names no model.
  ///
  /// - Throws: what reading the file throws.
  init?(in files: [CarriedContent]) throws(StorageError) {
    guard let file = files.first(where: { $0.name.text == Self.fileName }),
      let text = ConfigurationText(try file.bytes()), case .string(let type)? = text[["model_type"]]
    else { return nil }
    self.text = text
    modelType = type
    if case .object? = text[["text_config"]] { parts = [["text_config"], []] } else { parts = [[]] }
  }

  /// The first of the members that is there; null counts as missing.
  func value(_ names: [String], in path: [String] = []) -> JSONValue? {
    for name in names {
      for part in parts {
        if let value = text[part + path + [name]], value != .null { return value }
      }
    }
    return nil
  }

  func value(_ name: String) -> JSONValue? { value([name]) }

  func object(_ name: String) -> JSONObject? {
    if case .object(let object)? = value(name) { object } else { nil }
  }

  func text(_ name: String) -> String? { if case .string(let text)? = value(name) { text } else { nil } }

  func isTrue(_ name: String, otherwise: Bool = false) -> Bool {
    if case .bool(let value)? = value(name) { value } else { otherwise }
  }

  /// - Throws: `malformed` for what is no number from 0 to 2³² − 1.
  func count(_ names: [String]) throws(StorageError) -> Int? {
    guard let value = value(names) else { return nil }
    guard case .integer(let number) = value, 0...Int64(UInt32.max) ~= number else {
      throw StorageError(.malformed, "\(names[0]) is no whole number from 0 to 4294967295", file: Self.fileName)
    }
    return Int(number)
  }

  /// - Throws: `malformed` for what is no finite number.
  func number(_ names: [String]) throws(StorageError) -> Double? {
    guard let value = value(names) else { return nil }
    guard let number = value.asNumber, number.isFinite else {
      throw StorageError(.malformed, "\(names[0]) is no number", file: Self.fileName)
    }
    return number
  }

  /// - Throws: `malformed` where it is missing.
  func required(_ names: [String]) throws(StorageError) -> Int {
    guard let count = try count(names) else { throw Self.missing(names) }
    return count
  }

  static func missing(_ names: [String]) -> StorageError {
    StorageError(.malformed, "has no \(names[0]), which llama.cpp needs", file: fileName)
  }

  /// The number that a rule names.
  func parameter(_ rule: ParameterRule) throws(StorageError) -> Double {
    let found: Double? =
      switch rule.kind {
      case .count: try count(rule.members).map(Double.init)
      case .number: try number(rule.members)
      }
    guard let value = found ?? rule.assumed else { throw Self.missing(rule.members) }
    return value
  }
}

extension JSONValue {
  /// A number, whole or not.
  var asNumber: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }

  var asNumbers: [Double]? {
    guard case .array(let values) = self else { return nil }
    let numbers = values.compactMap(\.asNumber)
    return numbers.count == values.count ? numbers : nil
  }

  var asText: String? { if case .string(let text) = self { text } else { nil } }

  var asObject: JSONObject? { if case .object(let object) = self { object } else { nil } }

  var isTrue: Bool { self == .bool(true) }
}
