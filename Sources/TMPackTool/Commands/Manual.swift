import ArgumentParser
import TMPackByteIO
import TMPackJSON
import TMPackReading

struct Manual: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "manual",
    abstract: "Print the manual page.",
    discussion: """
      Example:
        tmpack manual > ~/.local/share/man/man1/tmpack.1
      """)

  @OptionGroup(title: "Output") var reporting: OutputOptions

  func run() throws {
    let page = try ManualPage(of: Tool.self).text
    if reporting.json { return Console.result(["manual": .string(page)]) }
    Console.result(page)
  }
}

/// All commands with all options, in the language of manual pages.
struct ManualPage {
  private(set) var text: String

  init(of tool: (some ParsableCommand).Type) throws(StorageError) {
    let dump = try JSONValue(parsing: Array(tool._dumpHelp().utf8)).asObject("the help")
    let root = try dump.required("command", of: "the help").asObject("a command")
    let (name, abstract) = (Self.text("commandName", root), Self.text("abstract", root))
    text = ".TH \(name.uppercased()) 1 \"\" \"\(TMPackVersion.tool)\"\n.SH NAME\n\(name) \\- \(Self.line(abstract))\n"
    text += ".SH SYNOPSIS\n.B \(name)\n.I command\n[\\fIoptions\\fR]\n.SH DESCRIPTION\n"
    text += Self.paragraphs(Self.text("discussion", root))
    text += ".SH COMMANDS\n"
    try add(root["subcommands"], under: name)
    text +=
      ".SH FILES\n.TP\n.I NAME.resume\nWhat an interrupted \\fBpack \\-\\-resume\\fR has finished, beside the archive.\n"
  }

  private mutating func add(_ commands: JSONValue?, under parent: String) throws(StorageError) {
    for json in try commands?.asArray("commands") ?? [] {
      let command = try json.asObject("a command")
      let name = Self.text("commandName", command)
      guard name != "help" else { continue }
      text += ".SS \"\(parent) \(name)\"\n\(Self.line(Self.text("abstract", command)))\n.PP\n"
      text += Self.paragraphs(Self.text("discussion", command))
      for json in try command["arguments"]?.asArray("arguments") ?? [] {
        let argument = try json.asObject("an argument")
        let names = try (argument["names"]?.asArray("names") ?? []).map { json throws(StorageError) in
          let name = try json.asObject("a name")
          return (name["kind"] == "long" ? "--" : "-") + Self.text("name", name)
        }
        guard !names.contains("--help"), !names.contains("--version") else { continue }
        let value = argument["kind"] == "flag" ? "" : " \\fI\(Self.escaped(Self.text("valueName", argument)))\\fR"
        let call = names.map { "\\fB\(Self.escaped($0))\\fR" }.joined(separator: ", ")
        text += ".TP\n\(call)\(value)\n\(Self.line(Self.text("abstract", argument)))\n"
      }
      try add(command["subcommands"], under: "\(parent) \(name)")
    }
  }

  private static func text(_ name: String, _ object: JSONObject) -> String {
    if case .string(let text) = object[name] { text } else { "" }
  }

  /// Examples stay as they are, the rest is set in lines.
  private static func paragraphs(_ text: String) -> String {
    var page = ""
    for part in text.split(separator: "\n\n") {
      let lines = part.split(separator: "\n").map(String.init)
      if lines.dropFirst().first?.hasPrefix("  ") == true {
        page += "\(line(lines[0]))\n.PP\n.nf\n\(lines.dropFirst().map(line).joined(separator: "\n"))\n.fi\n.PP\n"
      } else {
        page += lines.map(line).joined(separator: "\n") + "\n.PP\n"
      }
    }
    return page
  }

  /// A line that does not begin as a request.
  private static func line(_ text: String) -> String {
    let escaped = escaped(text)
    return escaped.hasPrefix(".") || escaped.hasPrefix("'") ? "\\&" + escaped : escaped
  }

  private static func escaped(_ text: String) -> String {
    text.replacing("\\", with: "\\e").replacing("-", with: "\\-").replacing("'", with: "\\(aq")
  }
}
