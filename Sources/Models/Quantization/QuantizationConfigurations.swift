import TMPackByteIO
import TMPackCheckpoints

/// What a model's files say of its codes, component by component.
package struct QuantizationConfigurations: Sendable {
  /// By the folder of the component in a pipeline; of other models, by the empty name.
  private let folders: [String: QuantizationConfiguration]

  /// - Parameter label: of the model, for errors.
  /// - Throws: what `QuantizationConfiguration` throws.
  package init(in files: [CarriedContent], label: String) throws(StorageError) {
    var folders: [String: QuantizationConfiguration] = [:]
    for folder in Set(files.map { Self.folder($0.name.text) }) {
      folders[folder] = try located(file: label) { () throws(StorageError) in
        try QuantizationConfiguration(in: files, folder: folder)
      }
    }
    self.folders = folders
  }

  subscript(component folder: String) -> QuantizationConfiguration? { folders[folder] }

  /// What they say, if it is of no method that is known.
  var unknown: QuantizationConfiguration? {
    folders.sorted { $0.key.precedesInBytes($1.key) }.map(\.value).first { !$0.isKnown }
  }

  static func folder(_ name: String) -> String {
    name.utf8.firstIndex(of: UInt8(ascii: "/")).map { String(name[..<$0]) } ?? ""
  }
}
