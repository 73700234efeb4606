import TMPackByteIO
import TMPackMerging
import TMPackReading
import TMPackTensorKit
import TestSupport
import Testing

/// What methods make of sources that leave them nothing to work with.
@Suite struct DegenerateMergingTests {
  /// Methods without statistics, that go by directions or decompositions.
  private static let methods = [
    "slerp", "multislerp", "karcher", "karcher origin=base", "model-stock", "model-stock filter_wise=true", "iso-c",
    "iso-cts", "iso-cts common_space_fraction=0", "opcm", "opcm alpha=1",
  ]

  private func method(_ text: String) throws -> MergingCase {
    let words = text.split(separator: " ").map(String.init)
    return MergingCase(words[0], Array(words.dropFirst()))
  }

  /// Merges tensors `w` and `b`, given for the base and for each expert.
  private func merged(
    _ text: String, _ models: [[SampleTensor]]
  ) throws -> [[Double]] {
    let sources = try MergeSources(
      base: MemoryTensorSource(models[0], label: "base"),
      experts: models.dropFirst().enumerated().map { index, model in
        .init(name: "e\(index)", source: try MemoryTensorSource(model, label: "file of e\(index)"))
      })
    let source = try SharedModelSource(sources, method: try method(text).make())
    return try source.tensors.map { info in
      var values = [Double](repeating: 0, count: info.shape.elementCount)
      try source.bytes(of: info).withBytes { raw in
        values.withUnsafeMutableBufferPointer { info.dtype.floatFormat!.widen(raw, into: $0) }
      }
      return values
    }
  }

  private func model(seed: UInt64, scale: Double = 1) throws -> [SampleTensor] {
    [
      try tensor("w", .f32, [12, 20], noise(240, scale: scale, seed: seed)),
      try tensor("b", .f32, [20], noise(20, scale: scale, seed: seed + 1)),
    ]
  }

  @Test(arguments: methods) func expertsEqualToTheBaseGiveTheBase(_ text: String) throws {
    let base = try model(seed: 1)
    let merged = try merged(text, [base, base, base])
    let zeros = try model(seed: 1, scale: 0)
    let expected = try self.merged("base", [base, base])
    for (own, other) in zip(merged, expected) {
      #expect(zip(own, other).allSatisfy { abs($0 - $1) <= 1e-6 * abs($1) })
    }
    #expect(try self.merged(text, [zeros, zeros, zeros]).allSatisfy { $0.allSatisfy { $0 == 0 } })
  }

  /// What is equal in all models is equal in what is merged: the sign of a zero, too.
  @Test(arguments: ["average", "task-arithmetic", "ties", "slerp", "magmax"], [DType.f32, .bf16, .f16, .f64])
  func zerosKeepTheirSigns(_ text: String, _ dtype: DType) throws {
    let values = [-0.0, 0, 1, -0.0, -2, 0]
    let model = [try tensor("w", dtype, [2, 3], values)]
    let sources = try MergeSources(
      base: MemoryTensorSource(model),
      experts: ["a", "b"].map { .init(name: $0, source: try MemoryTensorSource(model)) })
    let merged = try SharedModelSource(sources, method: method(text).make())
    #expect(try bytes(of: merged, "w") == model[0].bytes.withBytes { [UInt8]($0) })
  }

  /// Codes that no scheme explains, and integers that are the base's.
  @Test func integersThatDifferAreSaid() throws {
    func sources(_ name: String, _ dtype: DType, _ shape: [Int]) throws -> MergeSources {
      let count = shape.reduce(1, *) * dtype.bitWidth / 8
      return try MergeSources(
        base: MemoryTensorSource([
          tensor(name, dtype, shape, bytes: [UInt8](repeating: 1, count: count)), tensor("f", .f32, [1], [1]),
        ]),
        experts: [
          .init(
            name: "a",
            source: MemoryTensorSource([
              tensor(name, dtype, shape, bytes: [UInt8](repeating: 2, count: count)), tensor("f", .f32, [1], [2]),
            ]))
        ])
    }
    #expect(
      code { _ = try SharedModelSource(sources("m.weight", .i8, [2, 3]), method: method("average").make()) }
        == .unsupportedFeature)
    let ids = try sources("position_ids", .i64, [1, 4])
    #expect(ids.notes.contains { $0.contains("position_ids") && $0.contains("are no floats") })
    _ = try SharedModelSource(ids, method: method("average").make())
    #expect(try sources("bn.num_batches_tracked", .i64, []).notes.isEmpty)
  }

  @Test(arguments: methods) func oneExpertIsMergedOrRefused(_ text: String) throws {
    let models = [try model(seed: 1), try model(seed: 5)]
    if text.hasPrefix("model-stock") {
      #expect(throws: StorageError(.invalidArgument, "")) { try merged(text, models) }
    } else {
      #expect(try merged(text, models).allSatisfy { $0.allSatisfy(\.isFinite) })
    }
  }

  /// Task vectors of opposite directions, and of rank one.
  @Test(arguments: methods) func directionsThatCancelGiveFiniteNumbers(_ text: String) throws {
    let change = noise(12, seed: 3).flatMap { x in noise(20, seed: 4).map { x * $0 } }
    let models = try [0.0, 1, -1].map { sign in
      [
        try tensor("w", .f32, [12, 20], change.map { sign * $0 }),
        try tensor("b", .f32, [20], noise(20, scale: sign, seed: 9)),
      ]
    }
    #expect(try merged(text, models).allSatisfy { $0.allSatisfy(\.isFinite) })
  }

  @Test(arguments: methods, [Double.nan, .infinity, -.infinity, 1e300])
  func elementsThatAreNoNumbersAreAnError(_ text: String, _ value: Double) throws {
    var values = noise(240, seed: 1)
    values[77] = value
    let models = try [noise(240, seed: 1), noise(240, seed: 2), values].map { [try tensor("w", .f64, [12, 20], $0)] }
    var result: [[Double]] = []
    let error = failure { result = try merged(text, models) }
    if value == 1e300, error == nil {
      // LAPACK scales what a Gram matrix cannot hold.
      #expect(result.allSatisfy { $0.allSatisfy(\.isFinite) })
    } else {
      #expect(error?.code == .nonFinite)
      #expect(error?.tensor == "w")
      // The sum of the experts has no file but the base's.
      #expect(error?.file == error?.expert.map { "file of \($0)" } ?? "base")
    }
  }

  @Test func slerpRefusesThreeExperts() throws {
    let models = try (1...4).map { try model(seed: UInt64($0)) }
    let error = failure { _ = try merged("slerp", models) }
    #expect(error?.code == .invalidArgument)
    #expect(error?.message.contains("not 3") == true)
  }

  @Test func slerpKeepsTheLengthOfEquallyLongVectors() throws {
    let merged = try merged(
      "slerp t=0.25",
      [[1.0, 0, 0], [0, 2, 0], [0, 0, 2]].map { [try tensor("w", .f64, [3], $0)] })[0]
    #expect(abs(merged.reduce(0) { $0 + $1 * $1 } - 4) < 1e-14)
    #expect(abs(merged[2] / merged[1] - 0.41421356237309503) < 1e-14)
  }

  @Test func multislerpRefusesThreeDirectionsThatCancel() throws {
    let third = 3.0.squareRoot() / 2
    let models = try [[0.0, 0], [1, 0], [-0.5, third], [-0.5, -third]].map { [try tensor("w", .f64, [2], $0)] }
    #expect(failure { _ = try merged("multislerp", models) }?.code == .invalidArgument)
  }

  /// The isotropic sum of one task vector has its nuclear norm, and equal singular values.
  @Test func isoMergesAnOrthogonalTaskVectorToItself() throws {
    let rotation: [Double] = [0, 1, 0, 0, 0, 1, 1, 0, 0]
    let models = try [[Double](repeating: 0, count: 9), rotation].map { [try tensor("w", .f64, [3, 3], $0)] }
    let merged = try merged("iso-c", models)[0]
    #expect(zip(merged, rotation).allSatisfy { abs($0 - $1) < 1e-14 })
  }
}
