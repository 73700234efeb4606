import ArgumentParser
import TMPackByteIO
import TMPackJSON
import TMPackReading

struct Route: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "route",
    abstract: "Say how much of each expert some inputs want.",
    discussion: """
      Examples:
        tmpack route zoo.tmpack --embedding x.npy
        tmpack route zoo.tmpack --embedding x.safetensors --group-size 8 --top 1

      The embeddings are the shared model's, floats [N, D] or [D]. Inputs of a group \
      are taken to want the same: their evidence is added up. With labels in the \
      file, the share of groups of one label that get it is said, too.
      """)

  enum Group: String, ExpressibleByArgument, CaseIterable {
    case each
    case all
  }

  @Argument(help: ArgumentHelp("The archive.", valueName: "archive"), completion: .file())
  var archive: String

  @Option(help: ArgumentHelp("Embeddings, in any format that convert reads.", valueName: "path"))
  var embedding: String

  @Option(help: ArgumentHelp("Take each input by itself, or all as one group.", valueName: "group"))
  var group: Group?

  @Option(help: ArgumentHelp("Take so many inputs at a time as one group.", valueName: "n"))
  var groupSize: Int?

  @OptionGroup(title: "Weights") var routing: RoutingArguments
  @OptionGroup(title: "Work") var reading: ReadingOptions
  @OptionGroup(title: "Output") var reporting: OutputOptions

  func validate() throws {
    if group != nil, groupSize != nil { throw ValidationError("--group and --group-size exclude each other.") }
    if let groupSize, groupSize < 1 { throw ValidationError("--group-size must be at least 1.") }
  }

  private var pooling: Pooling {
    if let groupSize { return .groups(of: groupSize) }
    return group == .all ? .all : .each
  }

  func run() throws {
    let router = try Router(.opened(archive, reading.io))
    let inputs = try Embeddings(contentsOf: embedding, mode: reading.io)
    let options = try routing.options()
    let routings = try router.route(inputs, pooling: pooling, options)
    let score = score(router, inputs, routings)
    if reporting.json { return Console.result(json(router, options, routings, score)) }
    var table = TextTable(["inputs", "weights", "entropy"], leftColumns: [0, 1])
    for routing in routings {
      let first = routing.rows.lowerBound
      let rows = routing.rows.count == 1 ? "\(first)" : "\(first)–\(routing.rows.upperBound - 1)"
      table.add([rows, routing.weights.summary ?? "(shared model)", routing.entropy.fixed(3)])
    }
    Console.result(table)
    let fallen = routings.count(where: \.fellBack)
    if fallen > 0 {
      Console.talk("note: \(counted(fallen, "group")) of \(routings.count) fell back to the shared model")
    }
    if let score, score.groups > 0 {
      Console.result("right: \(score.right) of \(score.groups), \(score.accuracy.percent)")
    }
  }

  /// What labels there are may mean something else: that is no reason not to route.
  private func score(_ router: Router, _ inputs: Embeddings, _ routings: [Routing]) -> Score? {
    guard inputs.labels != nil else { return nil }
    do throws(StorageError) { return try Score(router, inputs, routings) } catch {
      Console.talk("note: the labels are not used: \(error.message)")
      return nil
    }
  }

  private func json(
    _ router: Router, _ options: RoutingOptions, _ routings: [Routing], _ score: Score?
  ) -> JSONValue {
    var object: JSONObject = [
      "archive": .string(archive), "router_digest": .string(router.digest.hexadecimal),
      "temperature": .number(router.temperature(options)),
      "groups": .array(
        routings.map { routing in
          [
            "first": JSONValue(routing.rows.lowerBound), "count": JSONValue(routing.rows.count),
            "weights": routing.weights.json,
            "probabilities": .object(
              JSONObject(zip(router.classes, routing.probabilities).map { ($0, .number($1)) })),
            "entropy": .number(routing.entropy), "fell_back": .bool(routing.fellBack),
          ]
        }),
    ]
    object["fallback_entropy"] = router.fallbackEntropy(options).map { .number($0) }
    if let score {
      object["labelled_groups"] = JSONValue(score.groups)
      object["right"] = JSONValue(score.right)
    }
    return .object(object)
  }

  /// How often the most probable class is the one that all labels of a group name.
  private struct Score {
    var groups = 0
    var right = 0

    init(_ router: Router, _ inputs: Embeddings, _ routings: [Routing]) throws(StorageError) {
      let labels = try LabelledEmbeddings(inputs, classes: router.classes).labels
      for routing in routings {
        let own = labels[routing.rows]
        guard let label = own.first, own.allSatisfy({ $0 == label }) else { continue }
        groups += 1
        if routing.mostProbable == label { right += 1 }
      }
    }

    var accuracy: Double { Double(right) / Double(max(1, groups)) }
  }
}

extension RouterWeights {
  /// As `--weights` takes them, the greatest first, without those next to nothing; nil where that leaves the shared model.
  var summary: String? {
    let kept = entries.filter { $0.weight >= 0.0005 }.sorted { $0.weight > $1.weight }
    let texts = kept.map { "\($0.name)=\(Double($0.weight).significant(3))" }
    return texts.isEmpty ? nil : texts.joined(separator: ",")
  }

  /// Each number with no more digits than binary32 has.
  var json: JSONValue {
    .object(JSONObject(entries.map { ($0.name, .number(Double(String(describing: $0.weight)) ?? 0)) }))
  }
}
