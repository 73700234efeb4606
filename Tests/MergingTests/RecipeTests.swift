import TMPackByteIO
import TMPackMerging
import TMPackTensorKit
import TestSupport
import Testing

@Suite struct RecipeTests {
  private func recipe(_ text: String) throws -> MergeRecipe { try MergeRecipe(parsing: Array(text.utf8)) }

  /// Four layers of one number each, an embedding and a head: base 0, experts 1 and 10.
  private func sources() throws -> MergeSources {
    let names = ["embed.weight", "head.weight"] + (0..<4).flatMap { ["layers.\($0).attn.w", "layers.\($0).mlp.w"] }
    func model(_ value: Double) throws -> any TensorSource {
      try MemoryTensorSource(names.map { try tensor($0, .f32, [1], [value]) })
    }
    return MergeSources(
      base: try model(0),
      experts: [.init(name: "a", source: try model(1)), .init(name: "b", source: try model(10))])
  }

  private func merged(_ text: String, overriding: [MergeSettings.Name: String] = [:]) throws -> [String: Double] {
    let source = try SharedModelSource(sources(), method: try recipe(text).method(overriding: overriding))
    var values: [String: Double] = [:]
    for info in source.tensors {
      values[info.name] = try source.bytes(of: info).withBytes { Double($0.loadUnaligned(as: Float.self)) }
    }
    return values
  }

  @Test func setsEachTensorsOwnValues() throws {
    let values = try merged(
      """
      merge_method: task_arithmetic
      base_model: base
      models:
        - model: a
          parameters:
            weight:
              - filter: mlp
                value: [0, 1, 4]
              - filter: "head*"
                value: 7
        - model: b
          parameters: {weight: 0.5}
      parameters:
        lambda: 2
        weight: 3
      """)
    // λ (wₐ · 1 + ½ · 10)
    #expect(values["layers.0.mlp.w"] == 10.0)
    #expect(abs(values["layers.1.mlp.w"]! - 2 * (2.0 / 3 + 5)) < 1e-6)
    #expect(abs(values["layers.2.mlp.w"]! - 2 * (2 + 5)) < 1e-6)
    #expect(values["layers.3.mlp.w"] == 18.0)
    #expect(values["layers.1.attn.w"] == 16.0)
    #expect(values["head.weight"] == 24.0)
    #expect(values["embed.weight"] == 16.0)
  }

  /// As mergekit does: embeddings, norms and heads are where the first layer is.
  @Test func putsTensorsOutsideOfLayersAtTheBeginning() throws {
    let values = try merged(
      """
      merge_method: task_arithmetic
      base_model: base
      models: [{model: a, parameters: {weight: [1, 9]}}, {model: b, parameters: {weight: 0}}]
      parameters: {lambda: 1}
      """)
    #expect(values["embed.weight"] == 1 && values["head.weight"] == 1)
  }

  /// Layers are those of the whole model, though every one has settings of its own here.
  @Test func scalesLayersWhoseSettingsDiffer() throws {
    let values = try merged(
      """
      merge_method: task_arithmetic
      base_model: base
      models: [{model: a, parameters: {weight: [1, 4]}}, {model: b, parameters: {weight: 0}}]
      parameters: {lambda: 1, lines_alpha: 1, lines_beta: 3}
      """)
    #expect(values["layers.0.mlp.w"] == 1.0 && values["layers.1.attn.w"] == 4.0 && values["layers.3.mlp.w"] == 16.0)
  }

  @Test func givesWayToTheCommandLine() throws {
    let text = "merge_method: task_arithmetic\nbase_model: x\nmodels: [{model: a, parameters: {weight: 0}}, {model: b}]"
    #expect(try merged(text, overriding: [.init("lambda"): "1"])["head.weight"] == 10)
    #expect(
      try merged(text, overriding: [.init("lambda"): "1", .init("weight", expert: "a"): "5"])["head.weight"] == 15)
    #expect(throws: StorageError(.unknownName, "")) { try recipe(text).method(overriding: [.init("lamda"): "1"]) }
  }

  @Test func readsMergekitsFiles() throws {
    let read = try recipe(
      """
      # as published
      models:
        - model: models/base
          # no parameters necessary for base model
        - model: models/math.safetensors
          parameters:
            weight: 0.5
        - model: models/code
          parameters:
            weight: [0, 0.3, 0.7, 1] # weight gradient
      merge_method: task_arithmetic
      base_model: models/base
      dtype: float16
      """)
    #expect(read.kind.name == "task-arithmetic" && read.base == "models/base" && read.dtype == .f16)
    #expect(read.models.map(\.name) == ["math", "code"])
    let record = try read.method().record
    #expect(
      record.parameters == [
        "weight@math": "0.5", "weight@code": "[0.0, 0.3, 0.7, 1.0]", "lambda": "1.0", "normalize": "false",
      ])
    #expect(read.notes.contains { $0.contains("lambda = 1.0") && $0.contains("task-arithmetic has lambda = 0.3") })
  }

  // The base has no task vector, but it is as good a part of a mean as any model.
  @Test(arguments: [("average", ["base", "math"]), ("slerp", ["math"]), ("ties", ["math"]), ("magmax", ["math"])])
  func leavesTheBaseOutWhereItIsUsed(_ method: String, _ names: [String]) throws {
    // mergekit's own needs a weight for the base, too: see `countsTheBaseInAMean`.
    let read = try recipe("merge_method: \(method)\nbase_model: base\nmodels: [{model: base}, {model: math}]")
    #expect(read.models.map(\.name) == names)
  }

  @Test func countsTheBaseInAMean() throws {
    let read = try recipe("merge_method: linear\nbase_model: base\nmodels: [{model: a}]\nparameters: {weight: 1}")
    #expect(read.models.map(\.name) == ["a", "base"])
    #expect(throws: StorageError(.malformed, "")) {
      try recipe("merge_method: linear\nbase_model: base\nmodels: [{model: a, parameters: {weight: 1}}]")
    }
    #expect(try recipe("merge_method: average\nbase_model: base\nmodels: [{model: a}]").models.map(\.name) == ["a"])
  }

  /// A method that is ours alone has our defaults, and no note.
  @Test func hasOurDefaultsForOurMethods() throws {
    let read = try recipe("merge_method: magmax\nbase_model: base\nmodels: [{model: a}]")
    #expect(try read.notes.isEmpty && read.method().record.parameters.isEmpty)
  }

  @Test func readsSlices() throws {
    let values = try merged(
      """
      merge_method: task_arithmetic
      base_model: base
      parameters: {weight: 0}
      slices:
        - sources:
            - {model: base, layer_range: [0, 1]}
            - {model: a, layer_range: [0, 1], parameters: {weight: [3, 5]}}
            - {model: b, layer_range: [0, 1]}
        - sources:
            - {model: base, layer_range: [1, 4]}
            - {model: a, layer_range: [1, 4], parameters: {weight: [1, 2]}}
            - {model: b, layer_range: [1, 4]}
          parameters: {lambda: 10}
      """)
    // A slice of one layer is at its end; what is before the layers at the beginning of the first slice, and so on.
    #expect(values["layers.0.mlp.w"] == 5 && values["layers.1.mlp.w"] == 10 && values["layers.2.attn.w"] == 15)
    #expect(values["layers.3.mlp.w"] == 20 && values["embed.weight"] == 3 && values["head.weight"] == 10)
  }

  @Test(arguments: [
    ("[0, 2]", "the base has 4 layers"), ("[1, 4]", "come where layer 0 is due"), ("[4, 0]", "layer_range"),
    ("[0]", "layer_range"),
  ])
  func refusesSlicesThatAreNotOfAllLayers(_ range: String, _ message: String) throws {
    let text = "merge_method: linear\nparameters: {weight: 1}\nslices: [{sources: ["
    do {
      _ = try merged(text + "{model: a, layer_range: \(range)}, {model: b, layer_range: \(range)}]}]")
      Issue.record("\(range) was taken")
    } catch let error as StorageError {
      #expect(error.message.contains(message), "\(error)")
    }
  }

  @Test func passesOverWhatChangesNoNumber() throws {
    let read = try recipe(
      "merge_method: ties\nbase_model: x\nmodels: [{model: a}]\nlazy_unpickle: true\n"
        + "parameters: {int8_mask: true, select_topk: 0.1}")
    for word in ["'lazy_unpickle'", "'int8_mask'", "'select_topk'"] {
      #expect(read.notes.contains { $0.hasPrefix(word) }, "\(read.notes)")
    }
  }

  /// As YAML 1.1 has them, which mergekit reads.
  @Test func readsFlagsOfOldYAML() throws {
    for (text, value) in [("yes", "true"), ("Off", "false"), ("True", "true"), ("0", "false")] {
      let read = try recipe(
        "merge_method: ties\nbase_model: x\nmodels: [{model: a}]\nparameters: {normalize: \(text)}")
      #expect(try read.method().record.parameters["normalize"] == value)
    }
  }

  /// Two spellings of a name are two models.
  @Test func takesNamesToTheByte() throws {
    let read = try recipe("merge_method: average\nmodels: [{model: \u{E9}}, {model: e\u{301}}]")
    #expect(read.models.map { Array($0.name.utf8).count } == [2, 3])
  }

  @Test func needsNoBaseForAMean() throws {
    let read = try recipe("merge_method: linear\nmodels: [{model: a}, {model: b}]")
    #expect(read.kind.name == "average" && read.base == nil)
  }

  @Test(arguments: [
    ("models: [{model: a}]", StorageError.Code.malformed, "merge_method"),
    ("merge_method: tie\nmodels: [{model: a}]", .unknownName, "line 1"),
    ("merge_method: average\nmodel: a", .unknownName, "did you mean 'models'"),
    ("merge_method: average\nmodels: a", .malformed, "line 2"),
    ("merge_method: average\nmodels: []", .malformed, "no model"),
    ("merge_method: task_arithmetic\nmodels: [{model: a}]", .malformed, "base_model"),
    ("merge_method: average\nmodels:\n- model: a\n- model: a/", .malformed, "line 4"),
    ("merge_method: average\nmodels:\n- {model: a, parameters: {wieght: 1}}", .unknownName, "did you mean 'weight'"),
    ("merge_method: average\nmodels:\n- {model: a, parameters: {weight: x}}", .invalidArgument, "line 3"),
    ("merge_method: average\nmodels:\n- {model: a, parameters: {weight: [1, x]}}", .invalidArgument, "line 3"),
    ("merge_method: average\nmodels:\n- {model: a, parameters: {normalize: true}}", .malformed, "same for all"),
    ("merge_method: average\nmodels: [{model: a}]\nparameters: {normalize: [true]}", .malformed, "layer"),
    ("merge_method: average\nmodels: [{model: a}]\nparameters: {weight: [{filter: x}]}", .malformed, "value"),
    ("merge_method: average\nmodels: [{model: a}]\nparameters: {weight: 010}", .malformed, "octal"),
    (
      "merge_method: linear\nmodels: [{model: a}]\nparameters: {weight: [{pattern: x, value: 1}]}", .unsupportedFeature,
      "say filter"
    ),
    ("merge_method: nuslerp\nmodels: [{model: a}]", .unsupportedFeature, "slerp is what comes nearest"),
    (
      "merge_method: slerp\nbase_model: x\nmodels: [{model: a}, {model: b}]\nparameters: {t: 0.5}", .malformed,
      "found 2 others"
    ),
    (
      "merge_method: linear\nmodels: [{model: a}]\ntokenizer_source: union", .unsupportedFeature, "tokenizer_source"
    ),
    ("merge_method: average\nmodels: [{model: a}]\ndtype: float61", .malformed, "did you mean 'float64'"),
    ("merge_method: average\nmodels: [{model: a}]\ndtype: float8_e4m3fn", .malformed, "no dtype"),
    ("merge_method: average\nslices: []\nmodels: [{model: a}]", .malformed, "not both"),
    ("merge_method: average\nmodules: {}\nmodels: [{model: a}]", .unsupportedFeature, "modules"),
    ("- 1", .malformed, "mapping"),
  ])
  func refuses(_ text: String, _ code: StorageError.Code, _ message: String) throws {
    do {
      _ = try recipe(text).method()
      Issue.record("\(text) was read")
    } catch let error as StorageError {
      #expect(error.code == code && error.message.contains(message), "\(error.code) \(error)")
    }
  }
}
