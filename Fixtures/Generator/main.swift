import TMPackByteIO
import TMPackCheckpoints
import TMPackReading
import TestSupport

// Makes Fixtures/golden anew. See Fixtures/README.md: golden files are made once, and then only read.

let folder = CommandLine.arguments.dropFirst().first ?? FileTree.join(packageRoot, "Fixtures/golden")
var manifest = ""
for recipe in recipes {
  let path = FileTree.join(folder, "\(recipe.name).tmpack")
  guard FileTree.kind(of: path) == nil else {
    print("\(path) exists; golden files never change")
    continue
  }
  try recipe.make(Workshop(archive: path))
  let base = FileTree.join(folder, "\(recipe.name).safetensors")
  let shared = FileTree.kind(of: base) == nil ? nil : try Checkpoint.open(base).source
  let archive = try Archive(path, sharedModel: shared)
  manifest += "archive \(recipe.name) \(archive.rootDigest)\n"
  for weights in recipe.mixes {
    manifest += "mix \(weights)\n"
    let mix = try Reconstructor(archive).mix(weights.isEmpty ? .shared : RouterWeights(parsing: weights))
    for line in try digests(of: mix) { manifest += line + "\n" }
  }
  for expert in recipe.exact {
    manifest += "exact \(expert)\n"
    for line in try digests(of: Reconstructor(archive).exact(expert)) { manifest += line + "\n" }
  }
  for input in recipe.inputs {
    let router = try Router(archive)
    let routing = try router.route(Embeddings(input, dimension: router.dimension), pooling: .all)[0]
    let weights = routing.weights.entries.map { "\($0.name)=\($0.weight)" }.joined(separator: ",")
    manifest += "route \(input.map { "\($0)" }.joined(separator: ",")) \(weights) \(routing.entropy)\n"
  }
}
if !manifest.isEmpty {
  // Appended to, as recipes are: what stands there stays.
  let path = FileTree.join(folder, "manifest.txt")
  let old = (try? contents(path)) ?? []
  try put(old + Array(manifest.utf8), at: path)
}
