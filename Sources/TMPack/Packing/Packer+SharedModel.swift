import ArchiveFormat
import ByteIO
import Checkpoints
import Digests
import TensorKit

extension Packer {
  func sharedCheckpoint(_ base: Checkpoint?) throws(StorageError) -> Checkpoint {
    switch sharedModel {
    case .given(let checkpoint, _): return checkpoint
    case .merged(let method):
      guard let base else { throw StorageError(.invalidArgument, "no base is given") }
      if isDetached, method.readsExperts {
        throw StorageError(
          .invalidArgument,
          "a detached archive needs a shared model that is a checkpoint: --shared base, --shared-from or --shared-out")
      }
      return base
    }
  }

  func writeShared(
    _ checkpoint: Checkpoint, _ experts: [ExpertInput], _ digests: SourceDigests, to writer: ArchiveWriter,
    _ meter: inout ProgressMeter
  ) throws(StorageError) {
    let files = try place(checkpoint.carriedFiles, in: writer)
    let source: any TensorSource
    let record: SharedMethod
    switch sharedModel {
    case .merged(let method):
      source = try SharedModelSource(
        MergeSources(base: checkpoint, experts: experts), method: method, pipeline: pipeline)
      record = method.record
    case .given(_, let given):
      source = checkpoint.source
      record = given
    }
    let infos = source.tensors
    var entries: [SharedEntry] = []
    try pipeline.run(infos.count) { index throws(StorageError) -> (Digest, EncodedPayload?) in
      let info = infos[index]
      return try source.bytes(of: info).withBytes { raw throws(StorageError) in
        try refuseNonFinite(info, raw, base: checkpoint.source, experts)
        let payload = isDetached ? nil : EncodedPayload(tensor: raw, dtype: info.dtype, level: level)
        return (Digest(of: raw), payload)
      }
    } consume: { index, result throws(StorageError) in
      let (digest, payload) = result
      let reference = try payload.map { encoded throws(StorageError) in try writer.place(encoded) }
      entries.append(SharedEntry(info: infos[index], digest: digest, payload: reference))
      meter.advance(UInt64(infos[index].byteCount))
    }
    let manifest = SharedManifest(
      tensors: entries, files: files, metadata: source.metadata,
      provenance: digests.provenance(of: checkpoint, options: options))
    try writer.finishShared(manifest, storage: isDetached ? .detached : .embedded, method: record)
  }

  /// Refuses a shared tensor that is not finite where factors are to be taken against it, naming the source at fault.
  private func refuseNonFinite(
    _ info: TensorInfo, _ bytes: UnsafeRawBufferPointer, base: any TensorSource, _ experts: [ExpertInput]
  ) throws(StorageError) {
    guard rules.treatment(of: info.name) != .exact, let format = info.dtype.floatFormat,
      format.firstNonFinite(bytes) != nil
    else { return }
    for (source, expert) in [(base, nil)] + experts.map({ ($0.checkpoint.source, $0.name) }) {
      guard let own = source.tensor(named: info.name), own.matches(info) else { continue }
      try located(file: source.label, expert: expert, tensor: info.name) { () throws(StorageError) in
        try source.bytes(of: own).withBytes { raw throws(StorageError) in try PackedTensor.refuseNonFinite(raw, format)
        }
      }
    }
    throw StorageError(.nonFinite, "the shared model overflows \(info.dtype.rawValue)", tensor: info.name)
  }
}
