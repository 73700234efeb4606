/// Notes on experts: what is true of several is said once, in the order in which it came up.
struct ExpertNotes {
  private var notes: [(text: String, experts: [String])] = []
  private static let mostNames = 4

  init(_ notes: some Sequence<(expert: String, note: String)> = []) {
    for (expert, note) in notes { add(note, of: expert) }
  }

  mutating func add(_ note: String, of expert: String) {
    if let index = notes.firstIndex(where: { $0.text == note }) {
      if !notes[index].experts.contains(expert) { notes[index].experts.append(expert) }
    } else {
      notes.append((note, [expert]))
    }
  }

  var texts: [String] {
    notes.map { note in
      let isLong = note.experts.count > Self.mostNames
      let names = note.experts.prefix(isLong ? Self.mostNames - 1 : Self.mostNames).joined(separator: ", ")
      let more = isLong ? " and \(note.experts.count - Self.mostNames + 1) others" : ""
      return "\(names)\(more): \(note.text)"
    }
  }
}
