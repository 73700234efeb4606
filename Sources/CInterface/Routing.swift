import TMPackByteIO
import TMPackCHeader
import TMPackJSON
import TMPackReading

@c @implementation
public func tmpk_route(
  _ archive: OpaquePointer?, _ embeddings: UnsafePointer<Float>?, _ rows: Int, _ dimension: Int,
  _ options: UnsafePointer<tmpk_route_options>?, _ json: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?,
  _ error: UnsafeMutablePointer<tmpk_error>?
) -> tmpk_code {
  reporting(to: error) { () throws(StorageError) in
    let json = try required(json, "json")
    let options = try understood(options, zeros: tmpk_route_options())
    let (count, overflows) = rows.multipliedReportingOverflow(by: dimension)
    guard !overflows, rows > 0, dimension > 0 else {
      throw StorageError(.invalidArgument, "\(rows) rows of \(dimension) numbers are no embeddings")
    }
    try Limits.check(rows, atMost: Limits.embeddingRows, "the number of rows")
    try Limits.check(dimension, atMost: Limits.routerWidth, "the dimension of the embeddings")
    let numbers = Array(try list(embeddings, count, "the list of embeddings"))
    let inputs = try Embeddings(numbers, dimension: dimension)
    json.pointee = try Handles.with(archive, OpenArchive.self) { opened throws(StorageError) in
      let router = try opened.router()
      let routings = try router.route(inputs, pooling: Pooling(options.group), try RoutingOptions(options))
      return copied(JSONValue.object(report(router, routings)).compactText)
    }
  }
}

private func report(_ router: Router, _ routings: [Routing]) -> JSONObject {
  [
    "classes": .array(router.classes.map { .string($0) }),
    "groups": .array(
      routings.map { routing in
        [
          "rows": [JSONValue(routing.rows.lowerBound), JSONValue(routing.rows.upperBound)],
          "probabilities": .array(routing.probabilities.map { .number($0) }),
          // Exact as a Double.
          "weights": .array(routing.weights.entries.map { .number(Double($0.weight)) }),
          "entropy": .number(routing.entropy), "fell_back": .bool(routing.fellBack),
        ]
      }),
  ]
}

extension Pooling {
  fileprivate init(_ group: UInt32) {
    self =
      switch group {
      case 0: .each
      case .max: .all
      default: .groups(of: Int(group))
      }
  }
}

extension RoutingOptions {
  fileprivate init(_ options: tmpk_route_options) throws(StorageError) {
    let fallback: Fallback
    switch options.fallback {
    case 0: fallback = .stored
    case 1: fallback = .above(options.fallback_entropy)
    case 2: fallback = .never
    default: throw StorageError(.invalidArgument, "there is no fallback \(options.fallback)")
    }
    try self.init(
      temperature: options.temperature == 0 ? nil : options.temperature,
      top: options.top == 0 ? nil : Int(options.top), threshold: options.threshold, fallback: fallback)
  }
}
