/// The version of the tool and the library.
package enum TMPackVersion {
  package static let number = "0.1.0"
  /// As provenance records it.
  package static let tool = "tmpack \(number)"
}
