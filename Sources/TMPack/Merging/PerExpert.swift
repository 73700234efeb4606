import ByteIO

/// A setting that may differ from expert to expert.
public struct PerExpert<Value: Sendable & Hashable>: Sendable, Hashable {
  /// For experts that are not named.
  public var value: Value
  /// Two spellings of a name are two experts.
  package private(set) var named: [ExactString: Value] = [:]

  public init(_ value: Value) { self.value = value }

  public subscript(_ expert: String) -> Value {
    get { named[ExactString(expert)] ?? value }
    set { named[ExactString(expert)] = newValue }
  }
}
