import TMPackByteIO
import TMPackTensorKit

/// Elements of a run of memory that are seen as a tensor: PyTorch's storages and strides, NumPy's Fortran order.
struct StridedView: Sendable, Hashable {
  /// Elements of the memory before the first one.
  let offset: Int
  let dimensions: [Int]
  /// Elements from one index to the next, in each dimension.
  let strides: [Int]

  /// - Throws: `malformed` when an element is outside the `capacity` elements of the memory; `limitExceeded` when a
  ///   stride of zero makes far more elements of them than there are.
  init(offset: Int, shape: Shape, strides: [Int], capacity: Int) throws(StorageError) {
    guard strides.count == shape.dimensions.count else {
      throw StorageError(.malformed, "has \(shape.dimensions.count) dimensions and \(strides.count) strides")
    }
    guard offset >= 0, strides.allSatisfy({ $0 >= 0 }) else {
      throw StorageError(.malformed, "has a negative offset or stride")
    }
    if shape.elementCount > 0 {
      var last = offset
      for (size, stride) in zip(shape.dimensions, strides) {
        let reach = try (size - 1).multiplied(by: stride, "the reach of a stride")
        last = try last.adding(reach, "the reach of the strides")
      }
      guard last < capacity else {
        throw StorageError(.malformed, "reaches element \(last) of a storage of \(capacity)")
      }
      let most = try capacity.adding(Limits.expandedElements, "the size of the storage")
      try Limits.check(shape.elementCount, atMost: most, "the number of elements of an expanded tensor")
    }
    self.offset = offset
    dimensions = shape.dimensions
    self.strides = strides
  }

  /// Strides of elements that follow each other with the last index varying quickest.
  static func rowMajor(_ shape: Shape) -> [Int] {
    var strides = [Int](repeating: 1, count: shape.dimensions.count)
    for index in strides.indices.dropLast().reversed() {
      strides[index] = strides[index + 1] &* max(1, shape.dimensions[index + 1])
    }
    return strides
  }

  /// The same with the first index varying quickest.
  static func columnMajor(_ shape: Shape) -> [Int] {
    var strides = [Int](repeating: 1, count: shape.dimensions.count)
    for index in strides.indices.dropFirst() {
      strides[index] = strides[index - 1] &* max(1, shape.dimensions[index - 1])
    }
    return strides
  }

  var elementCount: Int { dimensions.reduce(1, *) }

  /// Whether the elements follow each other in row-major order. The stride of a dimension of one element means nothing.
  var isContiguous: Bool {
    var expected = 1
    for (size, stride) in zip(dimensions, strides).reversed() where size != 1 {
      if stride != expected { return size == 0 || dimensions.contains(0) }
      expected *= size
    }
    return true
  }

  /// The elements that the view touches, as a range of the memory.
  var extent: Range<Int> {
    if dimensions.contains(0) { return offset..<offset }
    return offset..<zip(dimensions, strides).reduce(offset) { $0 + ($1.0 - 1) * $1.1 } + 1
  }

  /// Copies the elements to `target` in row-major order.
  ///
  /// - Parameters:
  ///   - source: the memory of `extent` alone.
  ///   - width: bytes of an element: 1, 2, 4 or 8.
  func gather(
    _ source: UnsafeRawBufferPointer, width: Int, into target: UnsafeMutableRawBufferPointer
  ) {
    precondition(source.count == extent.count * width && target.count == elementCount * width)
    guard target.count > 0 else { return }
    switch width {
    case 1: gather(source, UInt8.self, into: target)
    case 2: gather(source, UInt16.self, into: target)
    case 4: gather(source, UInt32.self, into: target)
    default: gather(source, UInt64.self, into: target)
    }
  }

  /// Dimensions without those of one element, and neighbours joined that are one run of elements.
  private var simplified: [(size: Int, stride: Int)] {
    var result: [(size: Int, stride: Int)] = []
    for (size, stride) in zip(dimensions, strides) where size != 1 {
      if let last = result.last, last.stride == stride * size {
        result[result.count - 1] = (last.size * size, stride)
      } else {
        result.append((size, stride))
      }
    }
    return result
  }

  private func gather<Element: FixedWidthInteger>(
    _ source: UnsafeRawBufferPointer, _: Element.Type, into target: UnsafeMutableRawBufferPointer
  ) {
    let width = MemoryLayout<Element>.size
    var outer = simplified
    let inner = outer.popLast() ?? (1, 1)
    let rows = outer.popLast() ?? (1, 0)
    // A transposed matrix is copied in tiles, so that the cache lines of both sides are used whole.
    let tile = 32
    var indexes = [Int](repeating: 0, count: outer.count)
    var base = 0
    var written = 0
    let from = source.baseAddress!
    let to = target.baseAddress!
    while true {
      for rowStart in stride(from: 0, to: rows.size, by: tile) {
        for columnStart in stride(from: 0, to: inner.size, by: tile) {
          for row in rowStart..<min(rows.size, rowStart + tile) {
            for column in columnStart..<min(inner.size, columnStart + tile) {
              let place = base + row * rows.stride + column * inner.stride
              to.storeBytes(
                of: from.loadUnaligned(fromByteOffset: place * width, as: Element.self),
                toByteOffset: (written + row * inner.size + column) * width, as: Element.self)
            }
          }
        }
      }
      written += rows.size * inner.size
      var dimension = outer.count - 1
      while dimension >= 0 {
        indexes[dimension] += 1
        base += outer[dimension].stride
        if indexes[dimension] < outer[dimension].size { break }
        base -= outer[dimension].stride * outer[dimension].size
        indexes[dimension] = 0
        dimension -= 1
      }
      if dimension < 0 { return }
    }
  }
}

/// Turns every element of `width` bytes around: big-endian to little-endian.
func swapBytes(of memory: UnsafeMutableRawBufferPointer, width: Int) {
  func swap<Element: FixedWidthInteger>(_: Element.Type) {
    for offset in stride(from: 0, to: memory.count, by: width) {
      let value = memory.loadUnaligned(fromByteOffset: offset, as: Element.self)
      memory.storeBytes(of: value.byteSwapped, toByteOffset: offset, as: Element.self)
    }
  }
  switch width {
  case 2: swap(UInt16.self)
  case 4: swap(UInt32.self)
  case 8: swap(UInt64.self)
  default: break
  }
}
