extension String {
  /// `; did you mean '…'?` with the candidate that is most like this name, or nothing where none is.
  package func suggestion(among candidates: [String]) -> String {
    nearest(among: candidates).map { "; did you mean '\($0)'?" } ?? ""
  }

  /// The candidate that is most like this name, if it shares more with it than a letter by chance.
  package func nearest(among candidates: [String]) -> String? {
    let nearest = candidates.map { ($0, editDistance(to: $0)) }.min { $0.1 < $1.1 }
    guard let (name, distance) = nearest, distance <= max(2, count / 2), distance < max(count, name.count) else {
      return nil
    }
    return name
  }

  /// Levenshtein's: how many letters to add, drop or change.
  func editDistance(to other: String) -> Int {
    let letters = Array(other)
    var row = Array(0...letters.count)
    for (i, own) in enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for j in letters.indices {
        let above = row[j + 1]
        row[j + 1] = min(min(above, row[j]) + 1, diagonal + (own == letters[j] ? 0 : 1))
        diagonal = above
      }
    }
    return row[letters.count]
  }
}
