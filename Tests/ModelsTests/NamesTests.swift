import TMPackByteIO
import TMPackModels
import TMPackTensorKit
import TestSupport
import Testing

/// `Spec/names.md`
@Suite struct NamesTests {
  @Test func theTableIsThatOfTheSpecification() throws {
    #expect(try String(decoding: contents("\(packageRoot)/Spec/names.txt"), as: UTF8.self) == NameTable.text + "\n")
    #expect(NameTable.shared.families.count > 200)
    #expect(NameTable.shared.all.count > 100)
  }

  @Test(arguments: [
    ("a.b", "x.a.b.c", "x.<>.c"), ("a.b", "x.a.bc", nil), ("^a.", "b.a.", nil),
    ("layers.#.w", "m.layers.12.w", "m.<12>"),
    ("^m.*", "m.a.b", "<a.b>"), ("^model{!.language_model|.visual}", "model.layers", "<>.layers"),
    ("^model{!.language_model|.visual}", "model.visual.x", nil), ("{<_|layer}norm.", "x.norm.w", "x.<>w"),
    ("{<_|layer}norm.", "layernorm.w", nil),
  ])
  func patterns(_ pattern: String, _ name: String, _ result: String?) throws {
    let text = pattern.contains("#") ? "<#>" : pattern.contains("*") ? "<*>" : "<>"
    let bytes = Array(name.utf8)
    let match = NamePattern(pattern[...]).firstMatch(in: bytes)
    let replaced = match.map { String(decoding: NameReplacement(text[...]).replace($0, in: bytes), as: UTF8.self) }
    #expect(replaced == result)
  }

  private func info(_ name: String, _ shape: [Int]) throws -> TensorInfo {
    try TensorInfo(name: name, dtype: .f32, shape: Shape(shape))
  }

  /// Three experts of gate and up [2, 3] and down [3, 2], each by itself, with the numbers from 0 on, so that each is another.
  private func experts() throws -> [SampleTensor] {
    var tensors: [SampleTensor] = []
    var next = 0.0
    for number in 0..<3 {
      for (part, shape) in [("w1", [2, 3]), ("w2", [3, 2]), ("w3", [2, 3])] {
        let values = (0..<6).map { _ in
          next += 1
          return next
        }
        tensors.append(
          try tensor("model.layers.0.block_sparse_moe.experts.\(number).\(part).weight", .f32, shape, values))
      }
    }
    tensors.append(try tensor("model.norm.weight", .f32, [3], [7, 8, 9]))
    return tensors
  }

  private func stacks() throws -> [TensorInfo] {
    try [
      info("model.layers.0.mlp.experts.down_proj", [3, 3, 2]),
      info("model.layers.0.mlp.experts.gate_up_proj", [3, 4, 3]),
      info("model.norm.weight", [3]),
    ]
  }

  /// A model of two layers whose parts are called `text` and `vision`, each by another name.
  private func parts(_ text: String, _ vision: String, mlp: [Int] = [4, 2]) throws -> [SampleTensor] {
    var tensors: [SampleTensor] = []
    for (part, scale) in [(text, 1.0), (vision, 100.0)] {
      for layer in 0..<2 {
        for (index, name) in ["q_proj", "k_proj"].enumerated() {
          let values = (0..<4).map { scale * Double(10 * layer + index) + Double($0) }
          tensors.append(try tensor("\(part).\(layer).attn.\(name).weight", .f32, [2, 2], values))
        }
        let shape = part == text ? mlp : [2, 4]
        let values = (0..<shape[0] * shape[1]).map { scale + Double($0) }
        tensors.append(try tensor("\(part).\(layer).mlp.weight", .f32, shape, values))
      }
    }
    return tensors
  }

  /// A family that the table lacks: what ends alike and has the same shapes is the same, where that leaves no choice.
  @Test func namesThatEndAlikeAreTheSame() throws {
    let source = try MemoryTensorSource(try parts("llm.blocks", "eyes.blocks"))
    // The shapes tell which part is which only for the MLP: the rest could be either's.
    let target = try MemoryTensorSource(try parts("text.layers.attn", "image.tower")).tensors
    #expect(try !(source.aligned(to: target) is AlignedSource))
    let clear = try MemoryTensorSource(try parts("model.llm.layers", "model.eyes.layers"))
    let known = try MemoryTensorSource(try parts("a.llm.layers", "b.eyes.layers")).tensors
    let aligned = try #require(try clear.aligned(to: known) as? AlignedSource)
    #expect(aligned.tensors.map(\.name) == known.map(\.name))
    for info in aligned.tensors {
      let own = try #require(clear.tensor(named: "model." + info.name.dropFirst(2)))
      let (a, b) = (try aligned.bytes(of: info), try clear.bytes(of: own))
      #expect(try a.withBytes { x throws(StorageError) in try b.withBytes { x.elementsEqual($0) } })
    }
    #expect(aligned.notes.contains { $0.contains("how they end") }, "\(aligned.notes)")
  }

  /// What leaves a part over is not taken for the same model.
  @Test func namesThatEndAlikeWithOtherShapesAreNot() throws {
    let source = try MemoryTensorSource(try parts("model.llm.layers", "model.eyes.layers", mlp: [8, 2]))
    let known = try MemoryTensorSource(try parts("a.llm.layers", "b.eyes.layers")).tensors
    #expect(try !source.aligned(to: known).notes.contains { $0.contains("how they end") })
  }

  @Test func matricesOfExpertsAreAStack() throws {
    let source = try MemoryTensorSource(try experts())
    let stacked = try #require(try source.aligned(to: stacks()) as? AlignedSource)
    #expect(stacked.tensors.map(\.name) == (try stacks()).map(\.name))
    let values = try stacked.bytes(of: stacked.tensors[1]).withElements(of: Float.self) { Array($0) }
    // Gate, then up, of expert 1.
    #expect(Array(values[12..<24]) == [19, 20, 21, 22, 23, 24, 31, 32, 33, 34, 35, 36])
    let back = try #require(try stacked.aligned(to: source.tensors) as? AlignedSource)
    for view in [stacked, back] {
      for info in view.tensors { #expect(try hasParts(view, info) && hasSameParts(view, info), "\(info)") }
    }
    for info in source.tensors {
      let (a, b) = (try source.bytes(of: info), try back.bytes(of: try #require(back.tensor(named: info.name))))
      #expect(try a.withBytes { x throws(StorageError) in try b.withBytes { x.elementsEqual($0) } })
    }
  }

  /// As of an adapter, which changes some of the matrices.
  @Test func aStackWhoseMatricesDoNotAllHavePiecesHasNone() throws {
    struct PartlyWhole: TensorSource {
      let all: MemoryTensorSource
      let whole: String
      var tensors: [TensorInfo] { all.tensors }
      var label: String { all.label }
      func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
        try all.read(info, into: destination)
      }
      func piece(_ range: Range<Int>, of info: TensorInfo) throws(StorageError) -> [UInt8]? {
        info.name == whole ? nil : try all.piece(range, of: info)
      }
    }
    let all = try MemoryTensorSource(try experts())
    for whole in all.tensors {
      let stacked = try #require(
        try PartlyWhole(all: all, whole: whole.name).aligned(to: stacks()) as? AlignedSource)
      for info in stacked.tensors where stacked.sources(of: info).contains(whole) {
        #expect(try stacked.piece(0..<0, of: info) == nil && stacked.piece(0..<info.byteCount, of: info) == nil)
        #expect(try stacked.bytes(of: info).count == info.byteCount)
      }
    }
  }

  @Test func piecesAreRoundedToTheOthersDTypeToo() throws {
    let source = try MemoryTensorSource([try tensor("w", .f32, [3, 40], noise(120, seed: 1))])
    let matched = try #require(
      try MatchedDTypes(source, as: [TensorInfo(name: "w", dtype: .f16, shape: Shape([3, 40]))]))
    let info = matched.tensors[0]
    #expect(try info.dtype == .f16 && hasParts(matched, info) && hasSameParts(matched, info))
  }

  /// The error counts the numbers of the whole tensor, whichever piece is asked for.
  @Test func aPieceOfNumbersThatAreTooLarge() throws {
    let source = try MemoryTensorSource([try tensor("w", .f32, [6], [1, 1e6, 2, 3, -1e7, 4])])
    let matched = try #require(try MatchedDTypes(source, as: [TensorInfo(name: "w", dtype: .f16, shape: Shape([6]))]))
    #expect(try matched.piece(4..<8, of: matched.tensors[0])?.count == 4)
    #expect {
      try matched.piece(0..<4, of: matched.tensors[0])
    } throws: {
      let error = $0 as? StorageError
      return error?.code == .nonFinite && error?.message.hasPrefix("2 of its numbers") == true
    }
  }

  @Test func aStackWithAMissingMatrixHasNoPartner() throws {
    let source = try MemoryTensorSource(Array(try experts().dropFirst()))
    let aligned = try source.aligned(to: stacks())
    #expect(aligned.tensor(named: "model.layers.0.mlp.experts.gate_up_proj") == nil)
  }

  @Test func sameNamesAreLeftAlone() throws {
    let source = try MemoryTensorSource(try experts())
    #expect(!(try source.aligned(to: source.tensors) is AlignedSource))
  }

  @Test(arguments: ["module.", "_orig_mod.", "module._orig_mod.", "base_model.model.", "transformer."])
  func wrappersAreTakenAway(_ wrapper: String) throws {
    let own = try experts()
    let source = try MemoryTensorSource(
      try own.map { (try info(wrapper + $0.info.name, $0.info.shape.dimensions), $0.bytes) })
    let aligned = try source.aligned(to: own.map(\.info).sortedByName())
    #expect(aligned.tensors.map(\.name) == own.map(\.info).sortedByName().map(\.name))
  }

  /// Rows of heads of four as Meta has them: pairs; as transformers has them: the first of all pairs, then the second ones.
  @Test func rowsOfHeadsAreBroughtIntoOrder() throws {
    let order = [0, 2, 1, 3, 4, 6, 5, 7]
    func model(_ names: (query: String, other: String), _ rows: [Int]) throws -> MemoryTensorSource {
      try MemoryTensorSource([
        try tensor(names.query, .f32, [8, 2], rows.flatMap { [Double($0), Double($0) + 0.5] }),
        try tensor(names.other, .f32, [8, 2], (0..<16).map { Double($0) }),
      ])
    }
    let meta = try model(("layers.0.attention.wq.weight", "layers.0.feed_forward.w1.weight"), Array(0..<8))
    let names = ("model.layers.0.self_attn.q_proj.weight", "model.layers.0.mlp.gate_proj.weight")
    let other = try model(names, order)
    let aligned = try #require(try meta.aligned(to: other.tensors, headWidth: 4) as? AlignedSource)
    #expect(try hasSameTensors(aligned, other))
    #expect(aligned.notes.contains { $0.contains("with the rows of heads in their order") })
    #expect(try hasSameTensors(aligned.renamed(by: #require(aligned.ownNames)), meta))
    #expect(try hasSameTensors(other.aligned(to: meta.tensors, headWidth: 4), meta))
    // An adapter is made for the model in memory.
    let view = try #require(try meta.inMemory(having: [names.0, names.1], headWidth: 4))
    #expect(try hasSameTensors(AlignedSource(meta, view), other))
    #expect(try hasSameTensors(AlignedSource(undoing: view, of: other), meta))
    // Without the width nothing is guessed.
    #expect(code { _ = try meta.aligned(to: other.tensors) } == .unsupportedFeature)
    #expect(code { _ = try meta.inMemory(having: [names.0, names.1]) } == .unsupportedFeature)
    // The same order on both sides asks for none.
    #expect(!(try meta.aligned(to: meta.tensors) is AlignedSource))
  }

  /// What a rule puts in its text's place may have the text in it.
  @Test func rulesLeaveNamesInMemoryAsTheyAre() throws {
    let bytes = { (text: String) in Array(text.utf8) }
    let rule = NameTable.Renaming(pattern: "post_norm", name: "mlp.post_norm")
    #expect(rule.apply(to: bytes("layers.1.post_norm.weight")) == bytes("layers.1.mlp.post_norm.weight"))
    #expect(rule.apply(to: bytes("layers.1.mlp.post_norm.weight")) == nil)
    #expect(rule.apply(to: bytes("mlp.post_norm")) == nil)
    let other = NameTable.Renaming(pattern: "norm0", name: "norm1")
    #expect(other.apply(to: bytes("a.norm0.norm1")) == bytes("a.norm1.norm1"))
  }

  /// TMP-6-31: a record is read as any other part of a file is, with distrust.
  @Test(arguments: [
    "", "{}", "[1]", #"[["x"]]"#, #"[["x","absent"]]"#, #"[["b","a"]]"#, #"[["x",[4],["a",1,4,1,4,0,4]]]"#,
    #"[["x",[4],["a",2,2,0,1,0,2]]]"#, #"[["x",[8],["a",1,4,0,4,0,4]]]"#,
    #"[["x",[4],["a",1,4,0,4,0,4]],["x",[4],["a",1,4,0,4,0,4]]]"#,
    #"[["x",[4],["a",4,1,0,9223372036854775807,0,1]]]"#, #"[["x",[-4],["a",1,4,0,4,0,4]]]"#, #"[["x",[4]]]"#,
  ])
  func recordsOfOtherTensorsAreRefused(_ text: String) throws {
    let tensors = try [info("a", [4]), info("b", [2])]
    #expect { try NameRecord(text).arrangements(of: tensors) } throws: { ($0 as? StorageError)?.code == .malformed }
  }

  @Test func aRecordGivesBackTheNames() throws {
    let source = try MemoryTensorSource(try experts())
    let stacked = try #require(try source.aligned(to: stacks()) as? AlignedSource)
    let record = try #require(stacked.ownNames)
    #expect(try stacked.renamed(by: record).tensors == source.tensors)
  }

  @Test func adaptersMeanNamesInMemory() throws {
    let source = try MemoryTensorSource([
      try tensor("language_model.model.layers.0.self_attn.q_proj.weight", .f32, [2, 2], [1, 2, 3, 4]),
      try tensor("vision_tower.vision_model.encoder.layers.0.self_attn.q_proj.weight", .f32, [2, 2], [5, 6, 7, 8]),
    ])
    let names = [
      "model.language_model.layers.0.self_attn.q_proj.weight",
      "model.vision_tower.encoder.layers.0.self_attn.q_proj.weight",
    ]
    let alignment = try #require(try source.inMemory(having: names))
    let view = AlignedSource(source, alignment)
    #expect(view.tensors.map(\.name) == names)
    let back = try AlignedSource(undoing: alignment, of: view)
    #expect(back.tensors.map(\.name) == source.tensors.map(\.name))
  }
}
