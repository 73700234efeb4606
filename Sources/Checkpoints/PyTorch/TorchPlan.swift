import TMPackByteIO
import TMPackDigests
import TMPackTensorKit

/// A file as `torch.save` makes of a `state_dict`: one storage for each tensor, one for all that are tied.
///
/// | entry         | what                                         |
/// |---------------|----------------------------------------------|
/// | `data.pkl`    | the pickle of an `OrderedDict` of tensors, with `_metadata` if there is any |
/// | `byteorder`   | `little`                                     |
/// | `data/0`, …   | the storages, in the order of their tensors' names |
/// | `version`     | 3, of the container                          |
struct TorchPlan: CheckpointFilePlan {
  /// Every file's folder; `torch.save` takes the name of the file, and `torch.load` any.
  private static let folder = "archive/"

  let tensors: [TensorInfo]
  private let pickle: [UInt8]

  /// - Throws: `unsupportedFeature` for elements that PyTorch does not have; `limitExceeded`.
  init(_ all: [TensorInfo], ties: [String: String], metadata: StateMetadata? = nil) throws(StorageError) {
    try Limits.check(all.count, atMost: Limits.pickleTensors, "the number of tensors of a PyTorch file")
    let all = all.sortedByName()
    var written: [TensorInfo] = []
    var numbers: [ExactString: Int] = [:]
    var pickle = PickleWriter()
    pickle.global("collections OrderedDict")
    pickle.emptyTuple()
    pickle.call()
    pickle.mark()
    for info in all {
      let number: Int
      // The first may be in another file.
      if let first = ties.tie(of: info.name), let known = numbers[ExactString(first)], written[known].matches(info) {
        number = known
      } else {
        number = written.count
        written.append(info)
      }
      numbers[ExactString(info.name)] = number
      pickle.string(info.name)
      try Self.write(info, storage: number, to: &pickle)
    }
    pickle.setItems()
    metadata?.write(to: &pickle)
    tensors = written
    self.pickle = pickle.finish()
  }

  private static func write(_ info: TensorInfo, storage: Int, to pickle: inout PickleWriter) throws(StorageError) {
    let typed = PickleGlobal.storages.first { $0.value == info.dtype }?.key
    let element = PickleGlobal.elementTypes.first { $0.value == info.dtype }?.key
    guard let element else {
      throw StorageError(.unsupportedFeature, "PyTorch has no \(info.dtype.rawValue) elements", tensor: info.name)
    }
    // Two floats of four bits are one element.
    guard let shape = info.dtype == .f4 ? info.shape.packedInPairs : info.shape else {
      throw StorageError(
        .unsupportedFeature, "PyTorch keeps F4 elements in pairs, the last dimension of \(info.shape) has none",
        tensor: info.name)
    }
    // Elements that came after typed storages were given up need the third version.
    pickle.global(typed == nil ? "torch._utils _rebuild_tensor_v3" : "torch._utils _rebuild_tensor_v2")
    pickle.mark()
    pickle.mark()
    pickle.constant("storage")
    pickle.global(typed.map { "torch \($0)" } ?? "torch.storage UntypedStorage")
    pickle.string(String(storage))
    pickle.constant("cpu")
    pickle.integer(typed == nil ? info.byteCount : info.shape.elementCount)
    pickle.tuple()
    pickle.persistentID()
    pickle.integer(0)
    pickle.integers(shape.dimensions)
    pickle.integers(StridedView.rowMajor(shape))
    // requires_grad, and no hooks.
    pickle.no()
    pickle.global("collections OrderedDict")
    pickle.emptyTuple()
    pickle.call()
    if typed == nil { pickle.global("torch \(element)") }
    pickle.tuple()
    pickle.call()
  }

  var hasChecksums: Bool { true }

  func begin(writingTo sink: any OverwritableSink) throws(StorageError) -> any CheckpointFileWriter {
    var zip = ZipWriter(to: sink)
    try zip.add(Self.folder + TorchRecordName.pickle, pickle)
    try zip.add(Self.folder + TorchRecordName.byteOrder, Array("little".utf8))
    return Writer(plan: self, zip: zip)
  }

  private struct Writer: CheckpointFileWriter {
    let plan: TorchPlan
    var zip: ZipWriter
    var next = 0

    mutating func begin(checksum: CRC32?) throws(StorageError) {
      let name = "\(TorchPlan.folder)\(TorchRecordName.storages)\(next)"
      try zip.begin(name, size: UInt64(plan.tensors[next].byteCount), checksum: checksum)
    }

    func write(_ part: TensorBytes) throws(StorageError) { try zip.write(part) }

    mutating func end(checksum: CRC32) throws(StorageError) {
      try zip.end(checksum: checksum)
      next += 1
    }

    mutating func finish() throws(StorageError) {
      precondition(next == plan.tensors.count, "every tensor was written")
      try zip.add(TorchPlan.folder + TorchRecordName.version, Array("3\n".utf8))
      try zip.finish()
    }
  }
}
