import TMPackByteIO
import TMPackTensorKit

/// The bytes of one weight's tensors, read.
struct CodedBytes: Sendable {
  let weight: CodedWeight
  private let bytes: [CodedWeight.Companion: TensorBytes]
  /// Read in parts where they are many.
  let codes: OpenTensor

  /// Memory: that of the tensors beside the codes, if they are not mapped.
  init(of weight: CodedWeight, in source: any TensorSource) throws(StorageError) {
    try self.init(of: weight, in: source, only: CodedWeight.Companion.allCases, codes: source.opened(weight.codes))
  }

  /// Some of the tensors beside the codes, and not the codes.
  ///
  /// - Throws: `limitExceeded` for a tensor that is larger than what these describe.
  init(
    of weight: CodedWeight, in source: any TensorSource, only companions: [CodedWeight.Companion]
  ) throws(StorageError) {
    for info in companions.compactMap({ weight[$0] }) {
      try located(file: source.label, tensor: info.name) { () throws(StorageError) in
        try Limits.check(
          info.byteCount, atMost: Limits.quantizationDescriptionBytes, "the size of a description in bytes")
      }
    }
    try self.init(of: weight, in: source, only: companions, codes: OpenTensor(TensorBytes([])))
  }

  private init(
    of weight: CodedWeight, in source: any TensorSource, only companions: [CodedWeight.Companion], codes: OpenTensor
  ) throws(StorageError) {
    self.weight = weight
    self.codes = codes
    var bytes: [CodedWeight.Companion: TensorBytes] = [:]
    for companion in companions {
      if let info = weight[companion] { bytes[companion] = try source.bytes(of: info) }
    }
    self.bytes = bytes
  }

  /// The elements of a tensor beside the codes, each exactly: of 8-bit exponents (E8M0, also where they are kept as U8),
  /// the power of two. Empty where there is no such tensor.
  func numbers(_ companion: CodedWeight.Companion) throws(StorageError) -> [Float] {
    guard let info = weight[companion], let bytes = bytes[companion] else { return [] }
    return try bytes.withBytes { raw throws(StorageError) in try Self.numbers(raw, info) }
  }

  /// The elements of a tensor of integers of 8 bits or more. Empty where there is no such tensor.
  func integers(_ companion: CodedWeight.Companion) throws(StorageError) -> [Int] {
    guard let info = weight[companion], let bytes = bytes[companion] else { return [] }
    return try bytes.withBytes { raw throws(StorageError) in
      switch info.dtype {
      case .u8: raw.map { Int($0) }
      case .i8: raw.map { Int(Int8(bitPattern: $0)) }
      case .i32: Self.lanes(raw, Int32.self).map { Int($0) }
      case .u32: Self.lanes(raw, UInt32.self).map { Int($0) }
      case .i64: Self.lanes(raw, Int64.self).map { Int($0) }
      default:
        throw StorageError(
          .unsupportedFeature, "is of dtype \(info.dtype.rawValue), where \(weight.scheme.rawValue) has integers",
          tensor: info.name)
      }
    }
  }

  func bytes(_ companion: CodedWeight.Companion) throws(StorageError) -> [UInt8] {
    try bytes[companion]?.withBytes { [UInt8]($0) } ?? []
  }

  private static func lanes<Lane: FixedWidthInteger>(_ raw: UnsafeRawBufferPointer, _: Lane.Type) -> [Lane] {
    let width = MemoryLayout<Lane>.size
    return (0..<raw.count / width).map {
      Lane(littleEndian: raw.loadUnaligned(fromByteOffset: $0 * width, as: Lane.self))
    }
  }

  private static func numbers(_ raw: UnsafeRawBufferPointer, _ info: TensorInfo) throws(StorageError) -> [Float] {
    if let format = info.dtype.floatFormat {
      return [Float](unsafeUninitializedCapacity: info.shape.elementCount) { values, count in
        count = info.shape.elementCount
        format.widen(raw, into: UnsafeMutableBufferPointer(rebasing: values[..<count]))
      }
    }
    guard let table = CodeTable.of(info.dtype == .u8 ? .f8e8m0 : info.dtype) else {
      throw StorageError(
        .unsupportedFeature, "is of dtype \(info.dtype.rawValue), which no scale is known to have", tensor: info.name)
    }
    return raw.map { table[Int($0)] }
  }
}
