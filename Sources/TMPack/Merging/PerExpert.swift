/// A setting that may differ from expert to expert.
public struct PerExpert<Value: Sendable & Hashable>: Sendable, Hashable {
  /// For experts that are not named.
  public var value: Value
  public var named: [String: Value]

  public init(_ value: Value, named: [String: Value] = [:]) {
    self.value = value
    self.named = named
  }

  public subscript(_ expert: String) -> Value { named[expert] ?? value }
}
