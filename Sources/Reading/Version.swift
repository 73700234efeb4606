/// The version of the tool and the library.
public enum TMPackVersion {
  public static let number = "0.1.0"
  /// As provenance records it.
  public static let tool = "tmpack \(number)"
}
