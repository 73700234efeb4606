import TMPackByteIO
import TMPackCheckpoints
import TMPackModels
import TMPackTensorKit
import TestSupport
import Testing

/// What the libraries of `Fixtures/foreign/quantized` decode their own models to, and we too.
@Suite struct DequantizationTests {
  static let folder = FileTree.join(packageRoot, "Fixtures/foreign/quantized")
  static let models: [String] = {
    let names = (try? FileTree.names(in: folder)) ?? []
    return names.filter { FileTree.kind(of: FileTree.join(folder, $0)) == .folder }.sorted()
  }()

  @Test func allSchemesHaveFixtures() { #expect(Self.models.count > 60) }

  @Test(arguments: models) func numbersAreTheLibrarysToTheBit(_ name: String) throws {
    let model = try Checkpoint.open(FileTree.join(Self.folder, name)).dequantized()
    let expected = try Checkpoint.open(FileTree.join(Self.folder, "expected.safetensors")).source
    let own = expected.tensors.filter { $0.name.hasPrefix("\(name)/") }
    #expect(!own.isEmpty)
    #expect(try model.quantization().weights.isEmpty)
    for info in own {
      let short = String(info.name.dropFirst(name.count + 1))
      let decoded = try #require(model.source.tensor(named: short))
      #expect(decoded.dtype == info.dtype && decoded.shape == info.shape, "\(decoded)")
      #expect(try model.source.bytes(of: decoded).hasSameBytes(as: expected.bytes(of: info)), "\(name)")
      #expect(try hasParts(model.source, decoded) && hasSameParts(model.source, decoded), "\(name)")
    }
    let config = try #require(model.carriedFiles.first { $0.name.text == "config.json" })
    let text = String(decoding: try config.content.bytes(), as: UTF8.self)
    #expect(!text.contains("quant") && text.contains("\"model_type\": \"none\""), "\(text)")
  }

  /// A file alone is decoded to the same numbers, or refused: nothing is guessed.
  @Test(arguments: models) func withoutAConfigurationNothingIsGuessed(_ name: String) throws {
    let model = try Checkpoint.open(FileTree.join(Self.folder, "\(name)/model.safetensors"))
    let expected = try Checkpoint.open(FileTree.join(Self.folder, "expected.safetensors")).source
    let source: any TensorSource
    do {
      source = try model.dequantized().source
    } catch {
      #expect(error.code == .unsupportedFeature && error.tensor != nil, "\(error)")
      return
    }
    for info in expected.tensors where info.name.hasPrefix("\(name)/") {
      // Where only the configuration has a dtype, the numbers are F32.
      let format = try #require(info.dtype.conversionFormat)
      let converted = try ConvertedSource(source, to: format)
      let decoded = try #require(converted.tensor(named: String(info.name.dropFirst(name.count + 1))))
      #expect(try converted.bytes(of: decoded).hasSameBytes(as: expected.bytes(of: info)), "\(name)")
    }
  }

  /// A tensor that does not fit the others is an error, and nothing worse: one row of each, in turn.
  @Test(arguments: models) func tensorsThatDoNotFitAreRefused(_ name: String) throws {
    let model = try Checkpoint.open(FileTree.join(Self.folder, name))
    let quantization = try model.quantization()
    for weight in quantization.weights.weights {
      for part in weight.parts {
        var dimensions = part.shape.dimensions
        guard let first = dimensions.first, first > 1 else { continue }
        // A scale for the whole tensor fits any number of rows.
        if weight[.scale]?.shape.elementCount == 1, part == weight.codes { continue }
        // One number for each row, of which one is left, is a scale for the whole tensor.
        if part != weight.codes, part.shape.elementCount == first { continue }
        dimensions[0] = 1
        let short = try TensorInfo(name: part.name, dtype: part.dtype, shape: Shape(dimensions))
        let changed = try MemoryTensorSource(
          model.source.tensors.map { info in
            let bytes = try model.source.bytes(of: info).withBytes { [UInt8]($0) }
            return info.name.hasSameBytes(as: part.name)
              ? (short, TensorBytes(Array(bytes.prefix(short.byteCount)))) : (info, TensorBytes(bytes))
          }, metadata: model.source.metadata)
        let error = failure {
          let files = model.carriedFiles.map(\.content)
          let source = try DequantizedSource(changed, Quantization(of: changed, files: files))
          for info in source.tensors { _ = try source.bytes(of: info) }
        }
        #expect(error != nil, "\(name): \(part.name) \(dimensions)")
        #expect(error?.tensor != nil, "\(String(describing: error))")
      }
    }
  }
}
