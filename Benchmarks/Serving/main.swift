import TMPackParallel
import TMPackReading
import Timing

// Measures what a model for each input costs: routing, and mixing through a cache.
//
//     serving-benchmark ARCHIVE EMBEDDINGS [REQUESTS [THREADS]]
//
// Each row of the embeddings is a request. Prints medians in milliseconds of CPU time as JSON.

func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  return sorted.isEmpty ? .nan : sorted[sorted.count / 2]
}

let arguments = CommandLine.arguments.dropFirst().map { $0 }
guard arguments.count >= 2 else { fatalError("usage: serving-benchmark ARCHIVE EMBEDDINGS [REQUESTS [THREADS]]") }
let pipeline = arguments.count > 3 ? OrderedPipeline(threads: Int(arguments[3]) ?? 1) : .automatic
let archive = try Archive(arguments[0])
let router = try Router(archive)
let embeddings = try Embeddings(contentsOf: arguments[1])
let requests = min(embeddings.rows, arguments.count > 2 ? Int(arguments[2]) ?? 100 : 100)

// Soft weights of all experts, so that every request is a mix.
let options = try RoutingOptions(temperature: 4, fallback: .never)
let reconstructor = try Reconstructor(archive)
let names = router.classes
// Decodes what all mixes need, once.
let first = try Clock.process.seconds {
  let even = try RouterWeights(names.map { ($0, 1 / Float(names.count)) })
  _ = try MixCache(reconstructor, memoryLimit: 0, pipeline: pipeline).mix(even)
}

var (routing, misses, hits) = ([Double](), [Double](), [Double]())
var own = 0
// A resolution that tells nearly all requests apart: each one is mixed anew.
let fine = try MixCache(reconstructor, memoryLimit: 0, resolution: 1 << 20, pipeline: pipeline)
let stride = max(1, embeddings.rows / requests)
for request in 0..<requests {
  let row = Array(embeddings[request * stride])
  var weights = RouterWeights.shared
  routing.append(try Clock.process.seconds { weights = try router.weights(for: row, options) })
  misses.append(try Clock.process.seconds { own = try fine.mix(weights).byteCount })
}
// Again with steps of 1/16: what was mixed before is found.
let coarse = try MixCache(reconstructor, memoryLimit: 2 << 30, resolution: 16, pipeline: pipeline)
for request in 0..<requests {
  let weights = try router.weights(for: Array(embeddings[request * stride]), options)
  let before = coarse.statistics.hits
  let time = try Clock.process.seconds { _ = try coarse.mix(weights) }
  if coarse.statistics.hits > before { hits.append(time) }
}
let share = Double(coarse.statistics.hits) / Double(requests)
print(
  """
  {"requests": \(requests), "threads": \(pipeline.threads), "first_ms": \(first * 1e3), "route_ms": \(median(routing) * 1e3), \
  "mix_ms": \(median(misses) * 1e3), "hit_ms": \(hits.isEmpty ? "null" : "\(median(hits) * 1e3)"), "hit_share": \(share), \
  "mix_bytes": \(own), "kept_bytes": \(coarse.statistics.byteCount)}
  """)
