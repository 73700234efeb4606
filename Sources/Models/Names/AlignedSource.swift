import Synchronization
import TMPackByteIO
import TMPackTensorKit

/// A model seen under the names, and with the fusing, of another: each tensor is copied together as it is read.
///
/// The bytes are the model's own. Memory while reading one: its bytes, and those of one tensor that it takes a part of, where that is
/// not mapped.
package struct AlignedSource: TensorSource {
  package let tensors: [TensorInfo]
  package let ties: [String: String]
  package let notes: [String]
  package let source: any TensorSource
  /// What it was called before, if it is seen under another's names.
  package let ownNames: NameRecord?
  private let arrangements: [TensorArrangement]
  /// The tensor that was read last as a whole to take a part of it: the next part is likely of the same.
  private let last = LastRead()

  package init(_ source: any TensorSource, _ alignment: Alignment) {
    self.init(source, alignment.arrangements, NameRecord(alignment.inverse), note: Self.note(alignment))
  }

  init(_ source: any TensorSource, _ arrangements: [TensorArrangement]) {
    self.init(source, arrangements, nil, note: nil)
  }

  /// What was aligned and changed since, under its own names again. Tensors that are new keep the names that they have;
  /// those of another shape are taken as they are where they are whole.
  ///
  /// - Parameter names: of new tensors that are called otherwise.
  /// - Throws: `shapeMismatch` for another shape of a tensor of which others are parts.
  package init(
    undoing alignment: Alignment, of changed: any TensorSource, naming newNames: [String: String] = [:]
  ) throws(StorageError) {
    var arrangements: [TensorArrangement] = []
    var used: Set<ExactString> = []
    for arrangement in alignment.inverse {
      for copy in arrangement.copies { used.insert(ExactString(copy.source.name)) }
      if let whole = arrangement.whole {
        guard let own = changed.tensor(named: whole.name) else { continue }
        arrangements.append(try TensorArrangement(own, named: arrangement.info.name))
        continue
      }
      for copy in arrangement.copies where changed.tensor(named: copy.source.name) != copy.source {
        throw StorageError(
          .shapeMismatch, "has another shape or dtype than \(arrangement.info.name) needs, which is a part of it",
          file: changed.label, tensor: copy.source.name)
      }
      arrangements.append(arrangement)
    }
    var names = Set(arrangements.map { ExactString($0.info.name) })
    for info in changed.tensors where !used.contains(ExactString(info.name)) {
      let name = newNames[info.name] ?? info.name
      guard names.insert(ExactString(name)).inserted else {
        throw StorageError(
          .shapeMismatch, "is new, and the model on disk has one of that name", file: changed.label, tensor: name)
      }
      arrangements.append(try TensorArrangement(info, named: name))
    }
    arrangements.sort { $0.info.name.precedesInBytes($1.info.name) }
    self.init(changed, arrangements, nil, note: nil)
  }

  private init(
    _ source: any TensorSource, _ arrangements: [TensorArrangement], _ ownNames: NameRecord?, note: String?
  ) {
    self.source = source
    self.ownNames = ownNames
    self.arrangements = arrangements
    tensors = arrangements.map(\.info)
    notes = source.notes + [note].compactMap { $0 }
    var names: [ExactString: String] = [:]
    for arrangement in arrangements {
      if let whole = arrangement.whole { names[ExactString(whole.name)] = arrangement.info.name }
    }
    ties = source.ties.reduce(into: [:]) { ties, tie in
      if let key = names[ExactString(tie.key)], let value = names[ExactString(tie.value)] { ties[key] = value }
    }
  }

  private static func note(_ alignment: Alignment) -> String? {
    guard alignment.renamedCount + alignment.fusedCount > 0 else { return nil }
    var parts: [String] = []
    if alignment.renamedCount > 0 { parts.append("\(alignment.renamedCount) tensors are named otherwise") }
    if alignment.fusedCount > 0 { parts.append("\(alignment.fusedCount) are parts of others or made of them") }
    return "\(parts.joined(separator: ", ")) than in the base; matched by \(alignment.summary)"
  }

  package var metadata: [String: String] { source.metadata }
  package var typedMetadata: TypedMetadata { source.typedMetadata }
  package var label: String { source.label }

  /// What was measured of the tensors on data, under the names that they have here: each is named as its tensor, maybe with more behind
  /// a dot.
  ///
  /// - Throws: `unsupportedFeature` where tensors are fused otherwise: what was measured of one says nothing of its parts.
  package func renamed(statistics: any TensorSource) throws(StorageError) -> any TensorSource {
    var names: [ExactString: String] = [:]
    for arrangement in arrangements {
      guard let whole = arrangement.whole else {
        throw StorageError(
          .unsupportedFeature,
          "is of an expert whose tensors are fused otherwise than the base's",
          file: statistics.label, tensor: arrangement.info.name
        ).with(.convertNames)
      }
      names[ExactString(whole.name)] = arrangement.info.name
    }
    return try RenamedSource(statistics) { name in
      if let new = names[ExactString(name)] { return new }
      for dot in name.indices.reversed() where name[dot] == "." {
        if let new = names[ExactString(String(name[..<dot]))] { return new + name[dot...] }
      }
      return name
    }
  }

  /// The source's tensor that this one is all of.
  package func original(of info: TensorInfo) -> TensorInfo? { arrangement(of: info)?.whole }

  /// What this tensor is of one matrix of a stack [E, m, n] of the source; nil where it is something else.
  package func slice(of info: TensorInfo) -> StackSlice? {
    guard let copies = arrangement(of: info)?.copies, copies.count == 1, let copy = copies.first, copy.start == 0,
      copy.count == 1 || copy.stride == copy.run
    else {
      return nil
    }
    return StackSlice(info, in: copy.source, from: copy.sourceStart, copy, stride: copy.sourceStride)
  }

  /// Where matrices of the source lie in this tensor [E, m, n]; nil where it is made of something else.
  package func placements(of info: TensorInfo) -> [(part: TensorInfo, place: StackSlice)]? {
    guard let arrangement = arrangement(of: info) else { return nil }
    var placements: [(part: TensorInfo, place: StackSlice)] = []
    for copy in arrangement.copies {
      guard copy.sourceStart == 0, copy.count == 1 || copy.sourceStride == copy.run,
        let place = StackSlice(copy.source, in: info, from: copy.start, copy, stride: copy.stride)
      else { return nil }
      placements.append((copy.source, place))
    }
    return placements
  }

  /// The source's tensors that this one is made of.
  package func sources(of info: TensorInfo) -> [TensorInfo] { arrangement(of: info)?.copies.map(\.source) ?? [] }

  private func arrangement(of info: TensorInfo) -> TensorArrangement? {
    (try? place(of: info)).map { arrangements[$0] }
  }

  package func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    guard let arrangement = arrangement(of: info) else { throw unknown(info) }
    if let whole = arrangement.whole { return try source.read(whole, into: destination) }
    for copy in arrangement.copies {
      try bytes(for: copy).withBytes { raw in
        for index in 0..<copy.count {
          let from = copy.sourceStart + index * copy.sourceStride
          let to = copy.start + index * copy.stride
          UnsafeMutableRawBufferPointer(rebasing: destination[to..<to + copy.run]).copyMemory(
            from: UnsafeRawBufferPointer(rebasing: raw[from..<from + copy.run]))
        }
      }
    }
  }

  private func bytes(for copy: TensorArrangement.Copy) throws(StorageError) -> TensorBytes {
    if copy.count * copy.run == copy.source.byteCount { return try source.bytes(of: copy.source) }
    if let kept = last.bytes(of: copy.source.name) { return kept }
    let bytes = try source.bytes(of: copy.source)
    last.keep(bytes, of: copy.source.name)
    return bytes
  }

  package func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes {
    if let whole = original(of: info) { return try source.bytes(of: whole) }
    return try TensorBytes(count: info.byteCount) { buffer throws(StorageError) in try read(info, into: buffer) }
  }

  package func piece(_ range: Range<Int>, of info: TensorInfo) throws(StorageError) -> [UInt8]? {
    guard let arrangement = arrangement(of: info) else { throw unknown(info) }
    if let whole = arrangement.whole { return try source.piece(range, of: whole) }
    if range.isEmpty {
      for copy in arrangement.copies where try source.piece(0..<0, of: copy.source) == nil { return nil }
      return []
    }
    var isWhole = true
    let bytes = try [UInt8](count: range.count) { target throws(StorageError) in
      for copy in arrangement.copies where isWhole { isWhole = try fill(target, range, from: copy) }
    }
    return isWhole ? bytes : nil
  }

  /// Sets what one copy gives of a range of a tensor's bytes.
  ///
  /// Memory: what lies between the first and the last of them in the source.
  /// - Returns: whether the source has pieces of that tensor.
  private func fill(
    _ target: UnsafeMutableRawBufferPointer, _ range: Range<Int>, from copy: TensorArrangement.Copy
  ) throws(StorageError) -> Bool {
    let runs = copy.runs(touching: range)
    guard !runs.isEmpty else { return true }
    func own(_ index: Int) -> Range<Int> {
      let start = copy.start + index * copy.stride
      return (start..<start + copy.run).clamped(to: range)
    }
    func place(_ index: Int) -> Range<Int> {
      let (start, own) = (copy.start + index * copy.stride, own(index))
      let first = copy.sourceStart + index * copy.sourceStride + own.lowerBound - start
      return first..<first + own.count
    }
    let extent = place(runs.lowerBound).lowerBound..<place(runs.upperBound - 1).upperBound
    guard let bytes = try source.piece(extent, of: copy.source) else { return false }
    bytes.withUnsafeBytes { bytes in
      for index in runs {
        let (own, place) = (own(index), place(index))
        let source = place.lowerBound - extent.lowerBound..<place.upperBound - extent.lowerBound
        UnsafeMutableRawBufferPointer(
          rebasing: target[own.lowerBound - range.lowerBound..<own.upperBound - range.lowerBound]
        ).copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[source]))
      }
    }
    return true
  }

  package func stored(_ info: TensorInfo) throws(StorageError) -> StoredTensor? {
    guard let whole = original(of: info) else { return nil }
    return try source.stored(whole)
  }

  package func spanned(_ info: TensorInfo) throws(StorageError) -> SpannedTensor? {
    guard let whole = original(of: info) else { return nil }
    return try source.spanned(whole)
  }

  private final class LastRead: Sendable {
    private let state = Mutex<(name: String, bytes: TensorBytes)?>(nil)

    func bytes(of name: String) -> TensorBytes? {
      state.withLock { $0.flatMap { $0.name.hasSameBytes(as: name) ? $0.bytes : nil } }
    }

    func keep(_ bytes: TensorBytes, of name: String) { state.withLock { $0 = (name, bytes) } }
  }
}

extension TensorSource {
  /// The model under another's names; itself where they are the same, or nobody can tell.
  ///
  /// - Throws: what `Alignment.find` throws.
  package func aligned(
    to model: [TensorInfo], architectures: [String] = [], headWidth: Int? = nil
  ) throws(StorageError) -> any TensorSource {
    let alignment = try located(file: label) { () throws(StorageError) in
      try Alignment.find(of: tensors, to: model, architectures: architectures, headWidth: headWidth)
    }
    guard let alignment else { return self }
    return AlignedSource(self, alignment)
  }
}

/// Some rows and columns of one matrix of a stack.
package struct StackSlice: Sendable {
  package let source: TensorInfo
  package let matrix: Int
  package let rows: Range<Int>
  package let columns: Range<Int>

  /// - Parameters:
  ///   - part: whose bytes lie together, all of them in the copy's runs.
  ///   - whole: where these begin at the byte `start`, and are `stride` apart.
  /// - Returns: nil where the part is no matrix within one of [E, m, n].
  fileprivate init?(
    _ part: TensorInfo, in whole: TensorInfo, from start: Int, _ copy: TensorArrangement.Copy, stride: Int
  ) {
    let (own, all) = (part.shape.dimensions, whole.shape.dimensions)
    guard own.count == 2, all.count == 3, part.dtype == whole.dtype, copy.count * copy.run == part.byteCount else {
      return nil
    }
    let width = whole.dtype.bitWidth / 8
    let first = start / width
    let (row, column) = (first / all[2] % all[1], first % all[2])
    let areRows = copy.count == 1 && own[1] == all[2]
    let arePartsOfRows = copy.count == own[0] && stride == all[2] * width
    guard areRows || arePartsOfRows, row + own[0] <= all[1], column + own[1] <= all[2] else { return nil }
    source = whole
    matrix = first / (all[1] * all[2])
    rows = row..<row + own[0]
    columns = column..<column + own[1]
  }
}
