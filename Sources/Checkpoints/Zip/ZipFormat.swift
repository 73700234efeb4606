import TMPackByteIO

/// The numbers of PKWARE's APPNOTE.TXT 6.3.10 that PyTorch and NumPy files need.
enum ZipFormat {
  static let localSignature: UInt32 = 0x0403_4B50
  static let centralSignature: UInt32 = 0x0201_4B50
  static let endSignature: UInt32 = 0x0605_4B50
  static let end64Signature: UInt32 = 0x0606_4B50
  static let locator64Signature: UInt32 = 0x0706_4B50

  static let localHeaderBytes = 30
  static let centralHeaderBytes = 46
  static let endBytes = 22
  static let end64Bytes = 56
  static let locator64Bytes = 20
  static let commentBytes = 65_535

  /// In the field of a size or an offset: see the zip64 extra field.
  static let inZip64: UInt32 = 0xFFFF_FFFF
  static let zip64Extra: UInt16 = 1
  /// The extra field that fills up a header, as PyTorch calls it: "FB".
  static let paddingExtra: UInt16 = 0x4246

  static let stored: UInt16 = 0
  static let deflated: UInt16 = 8

  // General purpose flags.
  static let encrypted: UInt16 = 1 << 0 | 1 << 6 | 1 << 13
  static let sizesFollow: UInt16 = 1 << 3
  static let patched: UInt16 = 1 << 5
  static let utf8: UInt16 = 1 << 11
}

/// One member of an archive.
struct ZipEntry: Sendable {
  let name: String
  let method: UInt16
  let checksum: UInt32
  let storedSize: UInt64
  let size: UInt64
  /// Where its bytes begin in the file.
  let dataOffset: UInt64
}

extension ZipFormat {
  /// What a header says of an entry, the zip64 extra field taken into account.
  struct Sizes: Equatable {
    var size: UInt64
    var storedSize: UInt64
    var headerOffset: UInt64 = 0
  }

  /// Replaces what the fixed fields leave to the zip64 extra field (APPNOTE 4.5.3).
  ///
  /// - Throws: `malformed` when a field is missing from it, or the extra fields do not add up.
  static func widen(
    _ sizes: inout Sizes, extra: UnsafeRawBufferPointer, at offset: UInt64
  ) throws(StorageError) {
    let missing = UInt64(inZip64)
    var input = ByteReader(extra, at: offset)
    // Some writers pad with a few zeros that are no field.
    while input.remaining >= 4 {
      let kind = try input.integer(UInt16.self)
      var field = ByteReader(try input.take(Int(try input.integer(UInt16.self))), at: input.offset)
      guard kind == zip64Extra else { continue }
      if sizes.size == missing { sizes.size = try field.integer() }
      if sizes.storedSize == missing { sizes.storedSize = try field.integer() }
      if sizes.headerOffset == missing { sizes.headerOffset = try field.integer() }
      return
    }
    guard sizes.size != missing, sizes.storedSize != missing, sizes.headerOffset != missing else {
      throw StorageError(.malformed, "a size is left to a zip64 field that is not there", offset: offset)
    }
  }
}
