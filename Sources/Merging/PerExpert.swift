import TMPackByteIO

/// A setting that may differ from expert to expert.
package struct PerExpert<Value: Sendable & Hashable>: Sendable, Hashable {
  /// For experts that are not named.
  package var value: Value
  /// Two spellings of a name are two experts.
  package private(set) var named: [ExactString: Value] = [:]

  package init(_ value: Value) { self.value = value }

  package subscript(_ expert: String) -> Value {
    get { named[ExactString(expert)] ?? value }
    set { named[ExactString(expert)] = newValue }
  }
}
