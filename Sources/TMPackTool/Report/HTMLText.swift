extension String {
  /// As text of a page, or the value of an attribute in double quotes.
  var html: String {
    var text = ""
    for character in printable {
      switch character {
      case "&": text += "&amp;"
      case "<": text += "&lt;"
      case ">": text += "&gt;"
      case "\"": text += "&quot;"
      default: text.append(character)
      }
    }
    return text
  }

  /// JSON that may stand in a script of a page: nothing in it ends that.
  var jsonInScript: String { replacing("<", with: "\\u003c") }
}
