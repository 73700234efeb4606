import TMPackByteIO
import TMPackCheckpoints
import TMPackModels
import TMPackTensorKit
import TestSupport
import Testing

/// `Spec/quantized-weights.md`, what is written.
@Suite struct RequantizationTests {
  private func floats(_ source: any TensorSource, _ name: String) throws -> [Float] {
    let info = try #require(source.tensor(named: name))
    let format = try #require(info.dtype.floatFormat)
    return try source.bytes(of: info).withBytes { raw in
      [Float](unsafeUninitializedCapacity: info.shape.elementCount) { values, count in
        count = info.shape.elementCount
        format.widen(raw, into: UnsafeMutableBufferPointer(rebasing: values[..<count]))
      }
    }
  }

  /// Scales of blocks, rows and tensors: the same tensors come out, which decode to the numbers but for half a unit of a code's last place.
  @Test(arguments: ["ct-fp8-block", "ct-fp8-channel", "ct-fp8-tensor"])
  func numbersAreCodesAgain(_ name: String) throws {
    let coded = try Checkpoint.open(FileTree.join(DequantizationTests.folder, name))
    let numbers = try coded.dequantized()
    let quantization = try coded.quantization()
    let again = try RequantizedSource(numbers.source, as: coded.source, quantization)
    #expect(again.tensors == coded.source.tensors.filter { info in again.tensors.contains { $0.name == info.name } })
    for weight in quantization.weights.weights {
      #expect(weight.parts.allSatisfy { again.tensors.contains($0) })
    }
    let decoded = try Checkpoint(replacing: again, of: coded).dequantized().source
    var (energy, lost) = (0.0, 0.0)
    for weight in quantization.weights.weights {
      let (before, after) = (try floats(numbers.source, weight.name), try floats(decoded, weight.name))
      let largest = before.map(\.magnitude).max() ?? 0
      for (old, new) in zip(before, after) {
        #expect((old - new).magnitude <= old.magnitude / 14 + largest / 448 / 256)
        energy += Double(old) * Double(old)
        lost += Double(old - new) * Double(old - new)
      }
    }
    #expect(energy > 0 && abs(again.relativeError - (lost / energy).squareRoot()) < 0.01)
  }

  private func model(_ scale: DType, _ attendant: Bool = false) throws -> MemoryTensorSource {
    var tensors: [SampleTensor] = [
      (
        try TensorInfo(name: "m.weight", dtype: .f8e4m3, shape: Shape([2, 3])),
        TensorBytes(count: 6) { $0.initializeMemory(as: UInt8.self, repeating: 0) }
      ),
      try tensor("m.weight_scale", scale, [2, 1], [1, 1]),
    ]
    if attendant { tensors.append(try tensor("m.input_scale", .f32, [1], [1])) }
    return try MemoryTensorSource(tensors)
  }

  @Test(arguments: [DType.f32, .bf16]) func valuesAreTheNearestCodes(_ scale: DType) throws {
    let coded = try model(scale)
    let numbers = try MemoryTensorSource([tensor("m.weight", .f32, [2, 3], [896, -2, 0.5, 0, 0, 0])])
    let again = try RequantizedSource(numbers, as: coded, Quantization(of: coded))
    // 896 ÷ 448 = 2; a row of zeros has the scale 1.
    #expect(try floats(again, "m.weight_scale") == [2, 1])
    let codes = try again.bytes(of: again.tensors[0]).withBytes { Array($0) }
    #expect(codes == [0x7E, 0xB8, 0x28, 0, 0, 0])
    #expect(again.relativeError == 0)
  }

  @Test func whatCannotBeWrittenIsRefused() throws {
    let numbers = try MemoryTensorSource([tensor("m.weight", .f32, [2, 3], [1, 2, 3, 4, 5, 6])])
    func code(_ numbers: MemoryTensorSource, _ coded: MemoryTensorSource) -> StorageError.Code? {
      do {
        let source = try RequantizedSource(numbers, as: coded, Quantization(of: coded))
        for info in source.tensors { _ = try source.bytes(of: info) }
        return nil
      } catch { return error.code }
    }
    #expect(code(numbers, try model(.f32)) == nil)
    // Nobody has measured the activations of the new weights.
    #expect(code(numbers, try model(.f32, true)) == .unsupportedFeature)
    #expect(code(numbers, numbers) == .unsupportedFeature)
    let others = try MemoryTensorSource([tensor("m.weight", .f32, [3, 2], [1, 2, 3, 4, 5, 6])])
    #expect(code(others, try model(.f32)) == .shapeMismatch)
    let infinite = try MemoryTensorSource([tensor("m.weight", .f32, [2, 3], [.infinity, 2, 3, 4, 5, 6])])
    #expect(code(infinite, try model(.f32)) == .nonFinite)
  }
}

extension Checkpoint {
  /// The same files with other tensors.
  fileprivate init(replacing source: any TensorSource, of other: Checkpoint) {
    self.init(
      path: other.path, layout: other.layout, source: source, weightFiles: other.weightFiles,
      carriedFiles: other.carriedFiles, skippedFiles: other.skippedFiles, stamps: other.stamps)
  }
}
