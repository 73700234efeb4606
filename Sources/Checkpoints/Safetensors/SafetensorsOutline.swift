import TMPackByteIO
import TMPackJSON
import TMPackTensorKit

/// What the text of a header says, in some 60 bytes a tensor: names and shapes stay in the text until every rule was
/// checked, so that a header that breaks one costs little more than itself.
struct SafetensorsOutline {
  private struct Tensor {
    /// Its number in `names`.
    let name: UInt32
    /// Where in the text its shape begins.
    let shape: UInt32
    let dtype: DType
    let begin: UInt64
    let end: UInt64
  }

  private let text: UnsafeRawBufferPointer
  /// Where `text` begins in its file.
  private let textStart: UInt64
  /// Of all members, the metadata too.
  private var names: JSONNames
  private var metadataNames: JSONNames
  /// In the order of `metadataNames`.
  private var metadataValues: [JSONString] = []
  private var tensors: [Tensor] = []

  /// Reads all members and checks each tensor by itself.
  ///
  /// - Parameters:
  ///   - text: the header; must outlive the outline.
  ///   - textStart: where it begins in the file.
  init(_ text: UnsafeRawBufferPointer, at textStart: UInt64) throws(StorageError) {
    self.text = text
    self.textStart = textStart
    names = JSONNames(in: text)
    metadataNames = JSONNames(in: text)
    var reader = JSONReader(text, at: textStart)
    try reader.beginObject("the header")
    while let name = try reader.nextMember() {
      let place = reader.offset
      let isMetadata = name.matches(SafetensorsKey.metadata)
      do throws(StorageError) {
        try TensorInfo.check(nameBytes: name.byteCount)
        guard names.insert(name) else { throw reader.duplicate(name) }
        if isMetadata { try readMetadata(&reader) } else { try readTensor(&reader) }
      } catch {
        throw error.at(offset: place, tensor: isMetadata ? nil : name.excerpt)
      }
    }
    try reader.end()
  }

  private mutating func readMetadata(_ reader: inout JSONReader) throws(StorageError) {
    var nameBytes = 0
    var valueBytes = 0
    // MLX writes so when there are none.
    if try reader.kind() == .null { return try reader.skipValue() }
    try reader.beginObject(SafetensorsKey.metadata)
    while let key = try reader.nextMember() {
      let place = reader.offset
      do throws(StorageError) {
        let value = try reader.string("the value of \"\(key.excerpt)\" in \(SafetensorsKey.metadata)")
        nameBytes += key.byteCount
        valueBytes += value.byteCount
        try SafetensorsHeader.checkMetadata(
          entries: metadataValues.count + 1, nameBytes: nameBytes, valueBytes: valueBytes)
        guard metadataNames.insert(key) else { throw reader.duplicate(key) }
        metadataValues.append(value)
      } catch { throw error.at(offset: place) }
    }
  }

  // MARK: One tensor

  /// Reads the entry of the last of `names`.
  private mutating func readTensor(_ reader: inout JSONReader) throws(StorageError) {
    try Limits.check(tensors.count + 1, atMost: Limits.tensors, "the number of tensors")
    var dtype: DType?
    var shape: (place: Int, value: Shape)?
    var offsets: (begin: UInt64, end: UInt64)?
    try reader.beginObject("a tensor's entry")
    while let key = try reader.nextMember() {
      if key.matches(SafetensorsKey.dtype) {
        guard dtype == nil else { throw reader.duplicate(key) }
        let name = try reader.string(SafetensorsKey.dtype).excerpt
        guard let known = DType(rawValue: name) else {
          throw StorageError(.unsupportedFeature, "the dtype \"\(name)\" is unknown")
        }
        dtype = known
      } else if key.matches(SafetensorsKey.shape) {
        guard shape == nil else { throw reader.duplicate(key) }
        shape = (reader.position, try Self.shape(&reader))
      } else if key.matches(SafetensorsKey.offsets) {
        guard offsets == nil else { throw reader.duplicate(key) }
        offsets = try Self.offsets(&reader)
      } else {
        throw StorageError(.malformed, "a tensor's entry has an unknown member \"\(key.excerpt)\"")
      }
    }
    func missing(_ key: String) -> StorageError { StorageError(.malformed, "a tensor's entry has no \"\(key)\"") }
    guard let dtype else { throw missing(SafetensorsKey.dtype) }
    guard let shape else { throw missing(SafetensorsKey.shape) }
    guard let (begin, end) = offsets else { throw missing(SafetensorsKey.offsets) }
    let needed = try TensorInfo.byteCount(of: shape.value, dtype)
    guard begin <= end else { throw fault("begins at data byte \(begin), after its end at \(end)", at: begin) }
    guard end - begin == UInt64(needed) else {
      throw fault("has \(end - begin) bytes; shape \(shape.value) of \(dtype.rawValue) needs \(needed)", at: begin)
    }
    tensors.append(
      Tensor(
        name: UInt32(names.count - 1), shape: UInt32(shape.place), dtype: dtype, begin: begin, end: end))
  }

  private static func shape(_ reader: inout JSONReader) throws(StorageError) -> Shape {
    var dimensions: [Int] = []
    try reader.beginArray(SafetensorsKey.shape)
    while try reader.nextElement() {
      dimensions.append(try reader.count("each number of \(SafetensorsKey.shape)"))
      try Shape.check(dimensionCount: dimensions.count)
    }
    return try Shape(dimensions)
  }

  private static func offsets(_ reader: inout JSONReader) throws(StorageError) -> (begin: UInt64, end: UInt64) {
    var (begin, end, count): (UInt64, UInt64, Int) = (0, 0, 0)
    try reader.beginArray(SafetensorsKey.offsets)
    while count < 3, try reader.nextElement() {
      (begin, end) = (end, UInt64(try reader.count("each number of \(SafetensorsKey.offsets)")))
      count += 1
    }
    guard count == 2 else { throw StorageError(.malformed, "\(SafetensorsKey.offsets) must be two numbers") }
    return (begin, end)
  }

  // MARK: All tensors

  private var dataStart: UInt64 { textStart + UInt64(text.count) }

  private func fault(_ message: String, at begin: UInt64) -> StorageError {
    StorageError(.malformed, message, offset: dataStart + begin)
  }

  /// Puts the tensors in the order of their bytes and checks that these are the data, from its first byte to the
  /// file's last, without holes and overlaps.
  mutating func checkLayout(fileSize: UInt64) throws(StorageError) {
    // The order of the members means nothing, but for empty tensors at one place.
    tensors.sort { left, right in
      if left.begin != right.begin { return left.begin < right.begin }
      if left.end != right.end { return left.end < right.end }
      return left.name < right.name
    }
    var position: UInt64 = 0
    for tensor in tensors {
      guard tensor.begin >= position else {
        throw fault("overlaps the tensor before it by \(position - tensor.begin) bytes", at: tensor.begin)
          .at(tensor: name(of: tensor))
      }
      guard tensor.begin == position else {
        throw fault("leaves a hole of \(tensor.begin - position) bytes before it", at: tensor.begin)
          .at(tensor: name(of: tensor))
      }
      position = tensor.end
    }
    let available = fileSize - dataStart
    if let cut = tensors.first(where: { $0.end > available }) {
      throw StorageError(
        .truncated, "the file ends \(position - available) bytes too early", offset: fileSize,
        tensor: name(of: cut))
    }
    guard available == position else {
      throw fault("\(available - position) bytes follow the last tensor", at: position)
    }
  }

  private func name(of tensor: Tensor) -> String { names[Int(tensor.name)].text }

  /// The header, in memory of its own.
  func header() throws(StorageError) -> SafetensorsHeader {
    var entries: [SafetensorsHeader.Entry] = []
    entries.reserveCapacity(tensors.count)
    for tensor in tensors {
      var reader = JSONReader(text, at: textStart, from: Int(tensor.shape))
      let info = try TensorInfo(name: name(of: tensor), dtype: tensor.dtype, shape: Self.shape(&reader))
      entries.append(SafetensorsHeader.Entry(info: info, begin: tensor.begin, end: tensor.end))
    }
    return SafetensorsHeader(metadata: try metadata(), entries: entries)
  }

  private func metadata() throws(StorageError) -> [String: String] {
    var metadata = [String: String](minimumCapacity: metadataValues.count)
    for (number, value) in metadataValues.enumerated() {
      let name = metadataNames[number]
      guard metadata.updateValue(value.text, forKey: name.text) == nil else {
        throw StorageError(
          .malformed, "\(SafetensorsKey.metadata) has \"\(name.excerpt)\" in two Unicode spellings",
          offset: textStart + UInt64(name.start))
      }
    }
    return metadata
  }
}
