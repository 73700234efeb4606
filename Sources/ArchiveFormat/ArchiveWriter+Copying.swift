import TMPackByteIO

/// Sections of another archive, whose frames are copied as they are.
extension ArchiveWriter {
  /// Copies the shared model's section of another archive.
  package func copyShared(of archive: ArchiveFile) throws(StorageError) {
    precondition(shared == nil && experts.isEmpty, "the shared model comes first, once")
    let section = try archive.sharedSection()
    let copied = Section(manifest: section.manifest, frames: try copy(section.frames, of: archive))
    shared = (
      try writeSection(copied, context: archive.index.storage).reference, archive.index.storage, archive.index.method
    )
    sharedSection = copied
  }

  /// Copies an expert's section of another archive with the same shared model.
  ///
  /// - Parameter droppingCorrections: leaves out what makes the expert exact (TMP-6-17).
  package func copyExpert(_ index: Int, of archive: ArchiveFile, droppingCorrections: Bool = false) throws(StorageError)
  {
    guard let shared = sharedSection else { preconditionFailure("the shared model comes first") }
    try checkName(archive.index.experts[index].name)
    if !droppingCorrections, archive.index.required.isSubset(of: [.mappable]),
      let copied = try writeExpert(
        archive.unparsedExpertSection(index), archive.index.experts[index],
        moving: { frames throws(StorageError) in try copy(frames, of: archive) })
    {
      experts.append(copied)
      return
    }
    var section = try archive.expertSection(index)
    if droppingCorrections, section.correctionBytes != nil {
      section = Section(numbering: section.manifest.withoutCorrections(), placed: section.frames)
    }
    let copied = Section(manifest: section.manifest, frames: try copy(section.frames, of: archive))
    let (reference, newBytes) = try writeSection(copied, context: shared.manifest)
    list(archive.index.experts[index].name, copied, reference, bytes: newBytes)
  }

  /// Copies the router's section of another archive, if it has one. The experts that it is bound to come before it.
  package func copyRouter(of archive: ArchiveFile) throws(StorageError) {
    guard let section = try archive.routerSection() else { return }
    let copied = Section(manifest: section.manifest, frames: try copy(section.frames, of: archive))
    router = try writeSection(copied, context: experts.map(\.name), isCounted: false).reference
  }

  private func copy(_ frames: [FrameRecord], of archive: ArchiveFile) throws(StorageError) -> [FrameRecord] {
    requireFeatures(of: frames)
    return try frames.map { frame throws(StorageError) in
      let stored = try archive.payloads.storedBytes(of: frame)
      return frame.moved(to: try store(stored, digest: frame.extent.digest, aligned: frame.isRaw))
    }
  }
}
