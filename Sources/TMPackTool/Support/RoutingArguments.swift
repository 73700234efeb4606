import ArgumentParser
import TMPackByteIO
import TMPackReading

/// How a router's logits become weights: the same for `route` and `unpack`.
struct RoutingArguments: ParsableArguments {
  @Option(help: ArgumentHelp("What logits are divided by (default: the router's own).", valueName: "number"))
  var temperature: Double?

  @Option(help: ArgumentHelp("Keep the n experts of the greatest weights (default: all).", valueName: "n"))
  var top: Int?

  @Option(help: ArgumentHelp("Leave out experts that are less probable.", valueName: "probability"))
  var threshold: Double?

  @Option(
    help: ArgumentHelp(
      "Take the shared model where the normalised entropy, 0 to 1, is above this (default: the router's own, if it has one).",
      valueName: "entropy"))
  var fallbackEntropy: Double?

  @Flag(help: "Never fall back to the shared model.")
  var noFallback = false

  func validate() throws {
    if fallbackEntropy != nil, noFallback {
      throw ValidationError("--fallback-entropy and --no-fallback exclude each other.")
    }
  }

  var isGiven: Bool {
    temperature != nil || top != nil || threshold != nil || fallbackEntropy != nil || noFallback
  }

  func options() throws(StorageError) -> RoutingOptions {
    try RoutingOptions(
      temperature: temperature, top: top, threshold: threshold ?? 0,
      fallback: noFallback ? .never : fallbackEntropy.map { .above($0) } ?? .stored)
  }
}
