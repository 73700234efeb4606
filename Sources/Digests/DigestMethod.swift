import TMPackCKernels

/// How many messages are digested; all give the same.
package enum DigestMethod: CaseIterable, Sendable {
  /// One after another, by the system's library.
  case single
  /// Side by side, in the lanes of the processor's vectors.
  case lanes

  package static let available: [DigestMethod] = tmpack_sha256_lanes_are_available() ? allCases : [.single]
  package static let best: DigestMethod = available.last!
}
