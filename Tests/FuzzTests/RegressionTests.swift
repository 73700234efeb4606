import FuzzTargets
import TMPackByteIO
import TestSupport
import Testing

/// What `make fuzz` found once: Fixtures/fuzz has a folder for each target.
@Suite struct RegressionTests {
  @Test(arguments: FuzzTarget.all) func whatWasFoundIsReadOrRefused(_ target: FuzzTarget) throws {
    let folder = FileTree.join(packageRoot, "Fixtures/fuzz/\(target.name)")
    guard FileTree.kind(of: folder) == .folder else { return }
    for name in try FileTree.names(in: folder) {
      let bytes = try contents(FileTree.join(folder, name))
      do { try target.read(bytes) } catch { #expect(!error.message.isEmpty) }
    }
  }

  @Test func everyFolderIsOfATarget() throws {
    let names = Set(FuzzTarget.all.map(\.name))
    #expect(names.count == FuzzTarget.all.count)
    #expect(
      try FileTree.names(in: FileTree.join(packageRoot, "Fixtures/fuzz")).allSatisfy {
        $0 == "README.md" || names.contains($0)
      })
  }

  /// Nothing that is read of a sound file is an error, so that what is mutated reaches the readers.
  @Test(arguments: FuzzTarget.all.filter { !$0.seeds.isEmpty }) func seedsAreThere(_ target: FuzzTarget) throws {
    for seed in target.seeds { #expect(FileTree.kind(of: FileTree.join(packageRoot, seed)) != nil, "\(seed)") }
  }
}
