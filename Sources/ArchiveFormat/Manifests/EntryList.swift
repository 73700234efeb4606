import TMPackByteIO
import TMPackJSON
import TMPackTensorKit

/// An element of a manifest's `tensors`.
package protocol ManifestEntry: Sendable {
  var name: String { get }

  /// - Throws: `malformed` where the members, taken by themselves, are no entry.
  init(_ members: EntryMembers) throws(StorageError)
}

/// Where an entry begins in its text, and where its name does.
private struct EntryPlace: Sendable {
  let entry: UInt32
  let name: UInt32
}

/// The entries of a manifest, sorted by name: made, or left in the text and made when they are asked for, so that one entry of very many
/// costs one.
///
/// Memory: of those in a text, eight bytes an entry beside the text.
package struct EntryList<Entry: ManifestEntry>: RandomAccessCollection, Sendable {
  private enum Storage: Sendable {
    case made([Entry])
    case text(ManifestText, [EntryPlace])
  }

  private let storage: Storage

  package init(_ entries: [Entry]) { storage = .made(entries) }

  package var startIndex: Int { 0 }

  package var endIndex: Int {
    switch storage {
    case .made(let entries): entries.count
    case .text(_, let places): places.count
    }
  }

  package subscript(index: Int) -> Entry {
    switch storage {
    case .made(let entries): entries[index]
    case .text(let text, let places):
      // It was checked when the list was read.
      text.reading(at: Int(places[index].entry)) { reader in
        guard let members = try? EntryMembers(reading: &reader), let entry = try? Entry(members) else {
          preconditionFailure("an entry that was read before")
        }
        return entry
      }
    }
  }

  /// Where the entry of that name is. O(log n).
  package func index(ofName wanted: String) -> Int? {
    switch storage {
    case .made(let entries): return entries.index(ofName: wanted) { $0.pointee.name }
    case .text(let text, let places):
      var name = wanted
      return name.withUTF8 { bytes in
        text.withStrings { string in
          let index = places.partitioningIndex {
            !string(Int($0.name)).precedes(UnsafeRawBufferPointer(bytes))
          }
          return index < places.count && string(Int(places[index].name)).matches(wanted) ? index : nil
        }
      }
    }
  }
}

extension EntryList {
  /// Reads the list that comes next in a manifest's text.
  ///
  /// - Parameters:
  ///   - what: what messages call the entries.
  ///   - check: is called with each.
  /// - Throws: `malformed` unless they are entries and sorted (TMP-6-1); `limitExceeded`; what `check` throws.
  init(
    reading reader: inout JSONReader, in text: ManifestText, _ what: String,
    check: (Entry, EntryMembers) throws(StorageError) -> Void
  ) throws(StorageError) {
    var places: [EntryPlace] = []
    var last: JSONString?
    try reader.beginArray(what)
    while try reader.nextElement() {
      let start = reader.position
      do throws(StorageError) {
        let members = try EntryMembers(reading: &reader)
        let name = members.name
        try TensorInfo.check(nameBytes: name.byteCount)
        if let last, !last.precedes(name) {
          throw StorageError(.malformed, "\(what) are not sorted: \"\(name.text)\" follows \"\(last.text)\"")
        }
        try check(try Entry(members), members)
        places.append(EntryPlace(entry: UInt32(start), name: UInt32(name.start - 1)))
        last = name
      } catch {
        throw error.at(tensor: text.nameOfEntry(at: start))
      }
    }
    storage = .text(text, places)
  }
}
