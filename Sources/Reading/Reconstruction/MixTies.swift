import TMPackArchiveFormat
import TMPackDigests
import TMPackTensorKit

/// Which tensors of a mix are one: tied weights, of which some files hold a copy and others none (TMP-7-15, TMP-7-16).
struct MixTies {
  private struct Content: Hashable {
    let dtype: DType
    let shape: Shape
    let digest: ContentDigest
  }

  private let shared: SharedManifest
  private let manifests: [ExpertManifest]
  /// The shared tensors of one content, by name, where some expert lacks one of the shared tensors.
  private let alike: [Content: [SharedEntry]]

  init(shared: SharedManifest, manifests: [ExpertManifest]) {
    self.shared = shared
    self.manifests = manifests
    let isNeeded = manifests.count > 1 && manifests.contains { !$0.absent.isEmpty }
    alike =
      isNeeded
      ? Dictionary(grouping: shared.tensors) {
        Content(dtype: $0.info.dtype, shape: $0.info.shape, digest: $0.digest)
      } : [:]
  }

  /// The name of the tensor that an expert, by its place among the manifests, has in the place of one that it lacks.
  func partner(of base: SharedEntry, inExpert index: Int) -> String? {
    let content = Content(dtype: base.info.dtype, shape: base.info.shape, digest: base.digest)
    return alike[content]?.first { !manifests[index].lacks($0.info.name) }?.info.name
  }

  /// The shared tensor that is the same as one of an expert's that the shared model lacks.
  package func shared(equalTo wanted: ExpertEntry, _ info: TensorInfo, inExpert index: Int) -> SharedEntry? {
    let columns = info.shape.dimensions.dropFirst()
    for (number, base) in shared.infos.enumerated()
    where base.dtype == info.dtype && base.shape.dimensions.dropFirst() == columns && !manifests[index].lacks(base.name)
    {
      let own = manifests[index].entry(named: base.name)
      guard (own?.info(against: base) ?? base).matches(info) else { continue }
      let entry = shared.tensors[number]
      if (own?.source ?? entry.digest) == wanted.source { return entry }
    }
    return nil
  }
}
