import Synchronization
import TMPackArchiveFormat
import TMPackByteIO
import TMPackTensorKit

/// How the tensors of a mix come about. One that has the shared tensor's dtype and shape, as almost all have, is looked at when it is
/// asked for: to know the others the manifests need not be decoded.
final class MixRecipes: Sendable {
  /// Of the tensors before any conversion, sorted by name.
  let infos: [TensorInfo]
  private let manifests: MixedManifests
  /// Those that were asked for.
  private let known: Mutex<[ExactString: Mix.Recipe]>

  init(_ manifests: MixedManifests) throws(StorageError) {
    self.manifests = manifests
    let shared = manifests.shared.infos
    let others = manifests.namesUnlikeShared
    guard !others.isEmpty else {
      infos = shared
      known = Mutex([:])
      return
    }
    var recipes: [ExactString: Mix.Recipe] = [:]
    var infos = shared.filter { !others.contains(ExactString($0.name)) }
    for name in others {
      guard let recipe = try manifests.recipe(named: name.text) else { continue }
      let info = recipe.info
      infos.append(try TensorInfo(name: name.text, dtype: info.dtype, shape: info.shape))
      recipes[name] = recipe
    }
    self.infos = infos.sortedByName()
    known = Mutex(recipes)
  }

  /// nil for a tensor that the mix does not have.
  subscript(name: String) -> Mix.Recipe? {
    if let recipe = known.withLock({ $0[ExactString(name)] }) { return recipe }
    // All recipes that may fail were made.
    guard infos.index(ofTensor: name) != nil, let recipe = try? manifests.recipe(named: name) else { return nil }
    known.withLock { $0[ExactString(name)] = recipe }
    return recipe
  }
}
