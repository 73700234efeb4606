/// What a payload is to its factor; the raw value is the member of the manifest entry that refers to it.
package enum PayloadRole: String, Sendable, CaseIterable {
  case left, right, scales, positions, values, payload, mask, vector
}
