import Digests
import Parallel
import TMPackReading
import YAML

/// Prints the first tensor of an expert: `reader ARCHIVE EXPERT`.
@main struct Reader {
  static func main() throws {
    let arguments = CommandLine.arguments
    let archive = try Archive(arguments[1])
    let mix = try Reconstructor(archive).mix(RouterWeights([(arguments[2], 1)]))
    let tensor = mix.tensors[0]
    print(tensor.name, tensor.dtype, tensor.shape, try mix.bytes(of: tensor).count)
    print(Digests.name, Parallel.name, YAML.name, separator: ", ")
  }
}
