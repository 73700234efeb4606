import TMPackArchiveFormat
import TMPackByteIO
import TMPackReading
import TMPackTensorKit

extension FactorOptions {
  /// These options, with an archive's own where none are given: what is added is packed as what is there.
  ///
  /// The treatment, the patterns, `--exact` and zstd's level are each taken as a whole. Of an archive that was packed into a
  /// budget one more expert gets what the others take in the mean.
  ///
  /// - Returns: also what was taken, as it would have been given.
  func completed(by archive: Archive) throws -> (options: FactorOptions, taken: [String]) {
    guard let last = archive.experts.indices.last else { return (self, []) }
    let record = try archive.file.expertSection(last).manifest.provenance.options
    let treatment = isTreatmentGiven ? [] : Self.treatment(record, archive)
    let hasPatterns = !(include + exclude + override).isEmpty
    let patterns = hasPatterns ? [] : Self.patterns(record)
    let exactness = !exact && !lossless && record["exact"] != nil ? ["--exact"] : []
    let levels = level == Self.standardLevel ? Self.words(["level"], record) : []
    let taken = treatment + patterns + exactness + levels
    guard !taken.isEmpty else { return (self, []) }
    let own: FactorOptions
    do { own = try FactorOptions.parse(taken) } catch {
      throw StorageError(
        .unsupportedFeature, "was packed with \(taken.joined(separator: " ")), which cannot be repeated; give options",
        file: archive.path)
    }
    var options = self
    if !treatment.isEmpty {
      (options.rateOptions, options.factorDtype, options.lossless) = (own.rateOptions, own.factorDtype, own.lossless)
      (options.rank, options.rankRatio, options.density) = (own.rank, own.rankRatio, own.density)
      (options.ternary, options.signs) = (own.ternary, own.signs)
    }
    if !patterns.isEmpty {
      (options.include, options.exclude, options.override) = (own.include, own.exclude, own.override)
    }
    options.exact = (exact || own.exact) && !options.lossless
    if !levels.isEmpty { options.level = own.level }
    return (options, taken)
  }

  private static let standards = ["factor-dtype": FactorDType.int8.rawValue, "level": String(standardLevel)]

  /// What a record has of some options, unless it is what holds anyway.
  private static func words(_ names: [String], _ record: [String: String]) -> [String] {
    names.compactMap { name in
      record[name].flatMap { $0 == standards[name] ? nil : "--\(name)=\($0)" }
    }
  }

  private static func treatment(_ record: [String: String], _ archive: Archive) -> [String] {
    // Masks are of all experts together.
    if record["tall-masks"] != nil { return [] }
    // What holds without options, too.
    if record[productsKey] != nil { return [] }
    if let factor = record["factor"] { return ["--\(factor)"] + words(["factor-dtype"], record) }
    let rate = words(["objective", "codec"], record)
    if record["budget"] != nil {
      let sizes = archive.experts.map { $0.summary.bytes - ($0.summary.correctionBytes ?? 0) }
      return ["--budget-per-expert=\(sizes.reduce(0, +) / UInt64(sizes.count))B"] + rate
    }
    let names = ["quality", "budget-per-expert", "error", "rank", "rank-ratio", "density", "ternary", "factor-dtype"]
    return words(names, record).map { $0.hasPrefix("--budget") ? $0 + "B" : $0 } + rate
  }

  private static func patterns(_ record: [String: String]) -> [String] {
    ["include", "exclude", "override"].flatMap { name in
      (record[name] ?? "").split(separator: " ").map { "--\(name)=\($0)" }
    }
  }
}
