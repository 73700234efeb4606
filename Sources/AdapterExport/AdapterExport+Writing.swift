import TMPackByteIO
import TMPackCheckpoints
import TMPackFactorization
import TMPackFactors
import TMPackPacking
import TMPackParallel

extension AdapterExport {
  /// ‖v‖² of an update, and ‖v − v̂‖² of what the adapter holds, before it is rounded to its dtype.
  struct Loss: Sendable {
    let energy: Double
    let lost: Double
  }

  /// What was written.
  package struct Report: Sendable {
    package let tensors: Int
    package let bytes: UInt64
    /// ‖v − v̂‖ ÷ ‖v‖ over all updates; nil without a rank to keep to.
    package let error: Double?
    package let worstError: Double?
    /// The weight whose update has it.
    package let worstTensor: String?
  }

  /// Writes a folder that `PeftModel.from_pretrained` loads: `adapter_config.json` and `adapter_model.safetensors`.
  ///
  /// It appears whole or not at all. Its bytes do not depend on the number of threads.
  /// - Throws: `outputExists`; `nonFinite` for a number that the dtype cannot hold; what reading the archive throws.
  @discardableResult
  package func write(
    to path: String, replacing: Bool = false, threads: Int = availableCores(),
    progress: (_ bytesWritten: UInt64, _ total: UInt64) -> Void = { _, _ in }
  ) throws(StorageError) -> Report {
    let folder = try Self.folder(path, replacing: replacing)
    let report = try fill(folder, threads: threads, progress: progress)
    try folder.commit()
    return report
  }

  /// Begins the folder, where it is to be refused before something else is done. An older adapter is replaced if nothing
  /// is beside it.
  package static func folder(_ path: String, replacing: Bool = false) throws(StorageError) -> AtomicFolder {
    let names = [AdapterConfiguration.fileName, LoRAAdapter.weightFileName]
    return try AtomicFolder(path, replacing: replacing ? { names.contains($0) } : nil)
  }

  /// The same in a folder that was begun already, and is to be committed.
  package func fill(
    _ folder: AtomicFolder, threads: Int = availableCores(),
    progress: (_ bytesWritten: UInt64, _ total: UInt64) -> Void = { _, _ in }
  ) throws(StorageError) -> Report {
    try BLAS.prepare(threads: threads)
    let configuration = try folder.makeFile(CarriedFileName(AdapterConfiguration.fileName))
    try configuration.write(Array((self.configuration.prettyText + "\n").utf8))
    try configuration.commit()
    let adapter = try ExportedAdapter(self)
    let weights = FileTree.join(folder.staging, LoRAAdapter.weightFileName)
    try CheckpointDestination(weights).write(adapter, threads: threads, progress: progress)
    return report(adapter)
  }

  /// Writes one file that `llama-server --lora` loads, up to the point where it would appear.
  ///
  /// - Precondition: the adapter is for llama.cpp.
  package func stageFile(
    _ path: String, replacing: Bool = false, threads: Int = availableCores(),
    progress: (_ bytesWritten: UInt64, _ total: UInt64) -> Void = { _, _ in }
  ) throws(StorageError) -> (output: any StagedOutput, report: Report) {
    try BLAS.prepare(threads: threads)
    guard let places else { preconditionFailure("an adapter for llama.cpp") }
    let adapter = try ExportedAdapter(self)
    let source = try RuntimeAdapter(adapter, self, places)
    let destination = try CheckpointDestination(path, format: .gguf, replacing: replacing)
    guard destination.layout == .file else {
      throw StorageError(.invalidArgument, "is to be one file; name it with .gguf at its end", file: path)
    }
    let staged = try destination.stage(source, threads: threads, progress: progress)
    return (staged.output, report(adapter))
  }

  /// Writes the adapter of another library, up to the point where it would appear: a folder, or one file.
  ///
  /// - Precondition: the adapter is for one.
  package func stageDialect(
    _ path: String, replacing: Bool = false, threads: Int = availableCores(),
    progress: (_ bytesWritten: UInt64, _ total: UInt64) -> Void = { _, _ in }
  ) throws(StorageError) -> (output: any StagedOutput, report: Report, notes: [String]) {
    guard case .dialect(let dialect) = options.target else { preconditionFailure("an adapter of another library") }
    let adapter = try ExportedAdapter(self)
    let written = try WrittenAdapter(content(of: adapter), for: dialect, component: options.component)
    let output = try written.stage(path, replacing: replacing, threads: threads, progress: progress)
    return (output, report(adapter), written.notes)
  }

  private func content(of adapter: ExportedAdapter) -> AdapterContent {
    let all = updates.enumerated().map { index, update in
      let (a, b) = adapter.sides(ofUpdate: index)
      return AdapterContent.Update(
        module: prefix + update.module, a: a, b: b, scale: 1, isEmbedding: update.kind == .embedding)
    }
    var content = AdapterContent(all, in: adapter)
    content.expertCount = mix.tensors.compactMap { MLXAdapter.expert(of: $0.name) }.max().map { $0 + 1 }
    return content
  }

  private func report(_ adapter: ExportedAdapter) -> Report {
    let losses = options.rank == nil ? [] : adapter.losses
    func error(_ loss: Loss) -> Double { loss.lost <= 0 ? 0 : (loss.lost / loss.energy).squareRoot() }
    let worst = losses.max { error($0.loss) < error($1.loss) }
    let sum = losses.reduce(Loss(energy: 0, lost: 0)) { sum, next in
      Loss(energy: sum.energy + next.loss.energy, lost: sum.lost + max(0, next.loss.lost))
    }
    return Report(
      tensors: adapter.tensors.count, bytes: adapter.tensors.reduce(0) { $0 + UInt64($1.byteCount) },
      error: losses.isEmpty ? nil : error(sum), worstError: worst.map { error($0.loss) },
      worstTensor: worst?.update.info.name)
  }

  /// An update's two sides, and what they lose of the mix.
  func product(_ update: Update) throws(StorageError) -> (LowRankProduct, Loss) {
    try located(file: mix.label, tensor: update.info.name) { () throws(StorageError) in
      update.isFactored ? try factoredProduct(update) : try approximation(update)
    }
  }

  private func factoredProduct(_ update: Update) throws(StorageError) -> (LowRankProduct, Loss) {
    var products: [LowRankProduct] = []
    for (expert, entry) in mix.addends(of: update.info.name) ?? [] where entry.factor.kind != .dropped {
      guard case .factor(let factor) = try reconstructor.part(entry, ofExpert: expert.position),
        let product = factor.product(weight: expert.weight)
      else { preconditionFailure("a low-rank entry decodes to a low-rank factor") }
      products.append(product)
    }
    let product = LowRankProduct(sumOf: products)
    guard options.rank != nil else { return (product.balanced(), Loss(energy: 0, lost: 0)) }
    guard let vectors = product.singularVectors() else {
      throw StorageError(.nonFinite, "its factors are not finite")
    }
    let energies = vectors.singularValues.map { $0 * $0 }
    let loss = Loss(energy: energies.reduce(0, +), lost: energies.dropFirst(update.rank).reduce(0, +))
    if product.rank <= update.rank { return (product.balanced(), Loss(energy: loss.energy, lost: 0)) }
    return (LowRankProduct(vectors.leading(update.rank)), loss)
  }

  /// The leading components of a matrix that is stored otherwise.
  private func approximation(_ update: Update) throws(StorageError) -> (LowRankProduct, Loss) {
    guard let format = update.info.dtype.floatFormat, let (rows, columns) = update.info.shape.matrix,
      let shared = reconstructor.shared.manifest.entry(named: update.info.name)
    else { preconditionFailure("an update is of a float matrix of the shared model") }
    let vector = try ExclusiveTensor(
      of: mix.opened(update.info), against: reconstructor.openedShared(shared), format, shape: update.info.shape
    ).vector()
    let vectors = try SingularVectors(
      of: MatrixView(vector.values, rows: rows, columns: columns), rank: update.rank)
    let kept = vectors.singularValues.reduce(0) { $0 + $1 * $1 }
    let energy = vector.energy
    return (LowRankProduct(vectors), Loss(energy: energy, lost: max(0, energy - kept)))
  }
}
