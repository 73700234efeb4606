import TMPackByteIO
import TMPackCheckpoints
import TMPackReading
import TestSupport

/// An archive of `Fixtures/golden`, and what must come out of it.
package struct Golden: CustomStringConvertible, Sendable {
  package let name: String
  package let root: String
  package var mixes: [(weights: String, digests: [String])] = []
  package var exact: [(expert: String, digests: [String])] = []
  /// What its router says of rows of inputs, as one group.
  package var routes: [(inputs: [Float], weights: String, entropy: Double)] = []

  package static let folder = FileTree.join(packageRoot, "Fixtures/golden")

  package var path: String { FileTree.join(Self.folder, "\(name).tmpack") }
  /// For a detached archive.
  package var base: String? {
    let path = FileTree.join(Self.folder, "\(name).safetensors")
    return FileTree.kind(of: path) == nil ? nil : path
  }
  package var description: String { name }

  package func open(mode: InputMode = .automatic) throws -> Archive {
    try Archive(path, mode: mode, sharedModel: base.map { try Checkpoint.open($0).source })
  }

  /// Read from the manifest, which Fixtures/README.md describes.
  package static let all: [Golden] = {
    var all: [Golden] = []
    guard let text = try? contents(FileTree.join(folder, "manifest.txt")) else { return [] }
    var isExact = false
    for line in String(decoding: text, as: UTF8.self).split(separator: "\n") {
      let words = line.split(separator: " ", omittingEmptySubsequences: false)
      let last = all.count - 1
      switch words[0] {
      case "archive": all.append(Golden(name: String(words[1]), root: String(words[2])))
      case "mix":
        isExact = false
        all[last].mixes.append((String(words[1]), []))
      case "exact":
        isExact = true
        all[last].exact.append((String(words[1]), []))
      case "route":
        all[last].routes.append(
          (words[1].split(separator: ",").map { Float($0)! }, String(words[2]), Double(words[3])!))
      default:
        if isExact {
          all[last].exact[all[last].exact.count - 1].digests.append(String(line))
        } else {
          all[last].mixes[all[last].mixes.count - 1].digests.append(String(line))
        }
      }
    }
    return all
  }()
}

package func weights(_ text: String) throws -> RouterWeights {
  text.isEmpty ? .shared : try RouterWeights(parsing: text)
}
