/// A lossy factor: what it is, and its payloads, be they bytes that are yet to be placed or references to where they are.
package struct FactorLayout<Payload: Sendable>: Sendable {
  package let form: FactorForm
  /// One for each of the form's roles.
  package private(set) var payloads: [Payload]

  package init<Failure>(
    _ form: FactorForm, _ payload: (PayloadRole) throws(Failure) -> Payload
  ) throws(Failure) {
    self.form = form
    payloads = []
    for role in form.roles { payloads.append(try payload(role)) }
  }

  private init(_ form: FactorForm, payloads: [Payload]) {
    self.form = form
    self.payloads = payloads
  }

  /// - Precondition: the form has it.
  package subscript(role: PayloadRole) -> Payload {
    guard let index = form.roles.firstIndex(of: role) else { preconditionFailure("a \(form.kind) has no \(role)") }
    return payloads[index]
  }

  /// The same factor with what `body` makes of its payloads, one after another.
  package func map<Other, Failure>(
    _ body: (Payload) throws(Failure) -> Other
  ) throws(Failure) -> FactorLayout<Other> {
    var others: [Other] = []
    for payload in payloads { others.append(try body(payload)) }
    return FactorLayout<Other>(form, payloads: others)
  }

  /// The places of the payloads in the order of a canonical manifest, which is that of their members' names (TMP-5-9).
  private var canonicalOrder: [Int] {
    let roles = form.roles
    return roles.indices.sorted { roles[$0].rawValue < roles[$1].rawValue }
  }

  /// In the order of the canonical manifest.
  var canonicalPayloads: [Payload] { canonicalOrder.map { payloads[$0] } }

  /// Calls `body` with each payload, in the order of the canonical manifest, and keeps what it makes of it.
  mutating func mapPayloads<Failure>(_ body: (Payload) throws(Failure) -> Payload) throws(Failure) {
    for index in canonicalOrder { payloads[index] = try body(payloads[index]) }
  }
}

extension FactorLayout: Equatable where Payload: Equatable {}
extension FactorLayout: Hashable where Payload: Hashable {}
