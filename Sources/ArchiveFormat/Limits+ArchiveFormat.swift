import TMPackByteIO

/// Of archives (Spec/format.md, section 9).
extension Limits {
  package static let indexBytes = 64 << 20
  package static let sectionBytes = 256 << 20
  package static let experts = 65_536
  package static let frames = 1 << 22
  /// Matrices that one tensor is taken as.
  package static let stackedMatrices = 1 << 16
  package static let frameBytes = 4 << 20
  /// Values of an index or a manifest besides its lists of entries; names of members count, too.
  package static let manifestValues = 1 << 20
  /// Raw bytes that a section may expand to: a floor plus a multiple of the archive's size.
  package static let expansionFloor: UInt64 = 64 << 20
  package static let expansionFactor: UInt64 = 16_384
  /// Raw bytes of all sections together: likewise.
  package static let sectionsFloor: UInt64 = 64 << 20
  package static let sectionsFactor: UInt64 = 256
  /// A floor plus a multiple of an archive's size.
  package static func bound(ofArchive end: UInt64, _ floor: UInt64, _ factor: UInt64) -> UInt64 {
    let (scaled, overflow) = end.multipliedReportingOverflow(by: factor)
    return overflow ? .max : scaled &+ min(floor, .max - scaled)
  }

  // Routers
  /// Numbers of an input of a router, and outputs of one of its layers.
  package static let routerWidth = 65_536
  package static let routerLayers = 16
  /// Weights of all layers of a router, or numbers of all its examples.
  package static let routerElements = 1 << 26
  package static let routerExamples = 1 << 20
}
