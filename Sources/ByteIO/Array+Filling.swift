extension Array where Element: BitwiseCopyable {
  /// `count` elements, every byte of which `fill` sets.
  package init(
    count: Int, filledBy fill: (UnsafeMutableRawBufferPointer) throws(StorageError) -> Void
  ) throws(StorageError) {
    try Resources.checkMemory(count * MemoryLayout<Element>.stride)
    var failure: StorageError?
    self.init(unsafeUninitializedCapacity: count) { buffer, initialized in
      do throws(StorageError) {
        try fill(UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: buffer[..<count])))
        initialized = count
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
  }
}
