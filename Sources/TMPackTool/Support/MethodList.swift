import TMPackJSON
import TMPackMerging

/// What there is to merge by.
enum MethodList {
  static func print(_ options: OutputOptions) {
    if options.json { return Console.result(.array(MergingMethodKind.all.map(json))) }
    for kind in MergingMethodKind.all {
      Console.result("\(kind.name)\n  \(kind.summary)" + (kind.paper == "none" ? "" : "\n  \(kind.paper)"))
      for setting in kind.ownSettings { Console.result("    \(text(setting))") }
    }
    Console.result("all but base")
    for setting in MergeSetting.layerScaling { Console.result("    \(text(setting))") }
  }

  private static func text(_ setting: MergeSetting) -> String {
    let own = setting.isPerExpert ? ", also per expert" : ""
    return "\(setting.name)=\(setting.defaultValue)  \(setting.meaning)\(own)\(choices(setting))"
  }

  private static func choices(_ setting: MergeSetting) -> String {
    if case .choice(let choices) = setting.kind { ": " + choices.joined(separator: ", ") } else { "" }
  }

  private static func json(_ kind: MergingMethodKind) -> JSONValue {
    [
      "name": .string(kind.name), "summary": .string(kind.summary), "paper": .string(kind.paper),
      "settings": .array(
        kind.settings.map { setting in
          [
            "name": .string(setting.name), "default": .string(setting.defaultValue),
            "per_expert": .bool(setting.isPerExpert), "meaning": .string(setting.meaning),
          ]
        }),
    ]
  }
}
