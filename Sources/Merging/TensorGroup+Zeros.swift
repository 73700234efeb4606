import TMPackByteIO
import TMPackTensorKit

extension TensorGroup {
  /// Gives zeros of a merged tensor the sign that zeros of the base have there: sums begin with +0, so that −0 of all models would
  /// become that.
  ///
  /// Memory: the base's bytes, where it is not mapped and there is a zero at all.
  func keepSigns(ofZerosIn merged: UnsafeMutableRawBufferPointer) throws(StorageError) {
    switch format {
    case .f64: try keepSigns(ofZerosIn: merged, UInt64.self)
    case .f32: try keepSigns(ofZerosIn: merged, UInt32.self)
    case .f16, .bf16: try keepSigns(ofZerosIn: merged, UInt16.self)
    }
  }

  private func keepSigns<Bits: FixedWidthInteger>(
    ofZerosIn merged: UnsafeMutableRawBufferPointer, _: Bits.Type
  ) throws(StorageError) {
    let width = MemoryLayout<Bits>.size
    func bits(_ raw: UnsafeRawBufferPointer, _ index: Int) -> Bits {
      raw.loadUnaligned(fromByteOffset: index * width, as: Bits.self)
    }
    var zeros: Bits = 0
    for index in 0..<count { zeros |= bits(UnsafeRawBufferPointer(merged), index) == 0 ? 1 : 0 }
    guard zeros != 0 else { return }
    let negativeZero = (1 as Bits) << (Bits.bitWidth - 1)
    try base.source.bytes(of: base.info).withBytes { own in
      for index in 0..<count
      where bits(UnsafeRawBufferPointer(merged), index) == 0 && bits(own, index).littleEndian == negativeZero {
        merged.storeBytes(of: negativeZero.littleEndian, toByteOffset: index * width, as: Bits.self)
      }
    }
  }
}
