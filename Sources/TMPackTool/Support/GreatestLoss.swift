import TMPackArchiveFormat
import TMPackReading

/// The tensor in which an expert loses most, and why: what its components hold.
struct GreatestLoss {
  /// The tensor, its share of all, and why.
  let text: String

  /// nil for what loses nothing.
  init?(_ manifest: ExpertManifest, _ shared: SharedManifest) {
    let loss = manifest.lostEnergy
    guard let entry = manifest.tensors.max(by: { $0.lostEnergy < $1.lostEnergy }), let measures = entry.measures,
      let share = entry.shareOfLoss(loss), share > 0
    else { return nil }
    let error = measures.error.value
    let kept = "\(max(0, 1 - error * error).percent) of the energy of its change"
    let why =
      if entry.factor.kind == .dropped {
        "its change is dropped"
      } else if let rank = entry.factor.form?.rank,
        let full = entry.fullRank(ArchiveInspection.info(entry, shared).shape)
      {
        "\(rank) of \(full) components hold \(kept)"
      } else {
        "what is stored holds \(kept)"
      }
    text = "\(entry.name), \(share.percentOfAll) of all: \(why)"
  }
}
