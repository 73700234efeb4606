extension Network {
  static let all = [llama, mixtral, qwen2, qwen3, qwen3MoE, gemma3, phi3, gpt2, bert]

  private static let decoderPrefixes = ["model."]

  private static let embeddings = """
    embed_tokens.weight token_embd.weight
    norm.weight output_norm.weight
    lm_head.weight output.weight?

    """

  private static let norms = """
    layers.N.input_layernorm.weight blk.N.attn_norm.weight
    layers.N.post_attention_layernorm.weight blk.N.ffn_norm.weight

    """

  private static let attention = """
    layers.N.self_attn.q_proj.weight blk.N.attn_q.weight
    layers.N.self_attn.k_proj.weight blk.N.attn_k.weight
    layers.N.self_attn.v_proj.weight blk.N.attn_v.weight
    layers.N.self_attn.o_proj.weight blk.N.attn_output.weight

    """

  private static let interleavedAttention = """
    layers.N.self_attn.q_proj.weight blk.N.attn_q.weight queries
    layers.N.self_attn.q_proj.bias blk.N.attn_q.bias? queries
    layers.N.self_attn.k_proj.weight blk.N.attn_k.weight keys
    layers.N.self_attn.k_proj.bias blk.N.attn_k.bias? keys
    layers.N.self_attn.v_proj.weight blk.N.attn_v.weight
    layers.N.self_attn.v_proj.bias blk.N.attn_v.bias?
    layers.N.self_attn.o_proj.weight blk.N.attn_output.weight
    layers.N.self_attn.o_proj.bias blk.N.attn_output.bias?

    """

  private static let gatedNetwork = """
    layers.N.mlp.gate_proj.weight blk.N.ffn_gate.weight
    layers.N.mlp.up_proj.weight blk.N.ffn_up.weight
    layers.N.mlp.down_proj.weight blk.N.ffn_down.weight

    """

  private static let gatedBiases = """
    layers.N.mlp.gate_proj.bias blk.N.ffn_gate.bias?
    layers.N.mlp.up_proj.bias blk.N.ffn_up.bias?
    layers.N.mlp.down_proj.bias blk.N.ffn_down.bias?

    """

  /// In stacks, as transformers 5 has them in memory, and apart, as it has them on disk.
  private static let experts = """
    layers.N.mlp.gate.weight blk.N.ffn_gate_inp.weight
    layers.N.mlp.experts.E.gate_proj.weight blk.N.ffn_gate_exps.weight
    layers.N.mlp.experts.E.up_proj.weight blk.N.ffn_up_exps.weight
    layers.N.mlp.experts.E.down_proj.weight blk.N.ffn_down_exps.weight
    layers.N.mlp.experts.gate_up_proj blk.N.ffn_gate_exps.weight first-half
    layers.N.mlp.experts.gate_up_proj blk.N.ffn_up_exps.weight second-half
    layers.N.mlp.experts.down_proj blk.N.ffn_down_exps.weight

    """

  private static let inverseFrequencies = ["layers.N.self_attn.rotary_emb.inv_freq", "rotary_emb.inv_freq"]

  private static let decoder = """
    context_length u32 max_position_embeddings
    embedding_length u32 hidden_size
    block_count u32 num_hidden_layers
    attention.head_count u32 num_attention_heads
    attention.head_count_kv u32 num_key_value_heads|num_attention_heads

    """

  private static let fine = "attention.layer_norm_rms_epsilon f32 rms_norm_eps 1e-6\n"
  private static let coarse = "attention.layer_norm_rms_epsilon f32 rms_norm_eps 1e-5\n"

  private static let feedForward = "feed_forward_length u32 intermediate_size\n"

  private static let llama = Network(
    "llama", ["llama", "mistral"], prefixes: decoderPrefixes, [.takesLlama3Factors],
    tensors: embeddings + norms + interleavedAttention + gatedNetwork + gatedBiases, unused: inverseFrequencies,
    parameters: decoder + fine + feedForward)

  private static let mixtral = Network(
    "llama", ["mixtral"], prefixes: decoderPrefixes, [.takesLlama3Factors, .hasExperts],
    tensors: embeddings + norms + interleavedAttention + experts + """
      layers.N.block_sparse_moe.gate.weight blk.N.ffn_gate_inp.weight
      layers.N.block_sparse_moe.experts.E.w1.weight blk.N.ffn_gate_exps.weight
      layers.N.block_sparse_moe.experts.E.w3.weight blk.N.ffn_up_exps.weight
      layers.N.block_sparse_moe.experts.E.w2.weight blk.N.ffn_down_exps.weight
      """, unused: inverseFrequencies,
    parameters: decoder + coarse + feedForward + """
      expert_count u32 num_local_experts
      expert_used_count u32 num_experts_per_tok
      """)

  private static let qwen2 = Network(
    "qwen2", ["qwen2"], prefixes: decoderPrefixes,
    tensors: embeddings + norms + attention + gatedNetwork + """
      layers.N.self_attn.q_proj.bias blk.N.attn_q.bias
      layers.N.self_attn.k_proj.bias blk.N.attn_k.bias
      layers.N.self_attn.v_proj.bias blk.N.attn_v.bias
      """, unused: inverseFrequencies, parameters: decoder + fine + feedForward)

  private static let headNorms = """
    layers.N.self_attn.q_norm.weight blk.N.attn_q_norm.weight
    layers.N.self_attn.k_norm.weight blk.N.attn_k_norm.weight

    """

  private static let qwen3 = Network(
    "qwen3", ["qwen3"], prefixes: decoderPrefixes, assumedHeadLength: 128,
    tensors: embeddings + norms + attention + headNorms + gatedNetwork, parameters: decoder + fine + feedForward)

  private static let qwen3MoE = Network(
    "qwen3moe", ["qwen3_moe"], prefixes: decoderPrefixes, [.hasExperts], assumedHeadLength: 128,
    tensors: embeddings + norms + attention + headNorms + experts,
    parameters: decoder + fine + feedForward + """
      expert_count u32 num_experts|num_local_experts
      expert_used_count u32 num_experts_per_tok
      expert_feed_forward_length u32 moe_intermediate_size
      """)

  private static let gemma3 = Network(
    "gemma3", ["gemma3_text", "gemma3"],
    prefixes: ["model.language_model.", "language_model.model.", "language_model.", "model."], [.alternatesWindows],
    assumedHeadLength: 256,
    tensors: """
      embed_tokens.weight token_embd.weight
      norm.weight output_norm.weight plus-one
      lm_head.weight output.weight?
      layers.N.input_layernorm.weight blk.N.attn_norm.weight plus-one
      layers.N.self_attn.q_norm.weight blk.N.attn_q_norm.weight plus-one-scaled
      layers.N.self_attn.k_norm.weight blk.N.attn_k_norm.weight plus-one
      layers.N.post_attention_layernorm.weight blk.N.post_attention_norm.weight plus-one
      layers.N.pre_feedforward_layernorm.weight blk.N.ffn_norm.weight plus-one
      layers.N.post_feedforward_layernorm.weight blk.N.post_ffw_norm.weight plus-one

      """ + attention + gatedNetwork,
    otherParts: ["vision_tower.*", "multi_modal_projector.*"],
    parameters: """
      context_length u32 max_position_embeddings 131072
      embedding_length u32 hidden_size 2304
      block_count u32 num_hidden_layers 26
      attention.head_count u32 num_attention_heads 8
      attention.head_count_kv u32 num_key_value_heads 4
      attention.layer_norm_rms_epsilon f32 rms_norm_eps 1e-6
      feed_forward_length u32 intermediate_size 9216
      attention.sliding_window u32 sliding_window 4096
      """)

  private static let phi3 = Network(
    "phi3", ["phi3"], prefixes: decoderPrefixes, [.takesLongFactors, .rotatesPartially],
    tensors: embeddings + norms + """
      layers.N.self_attn.qkv_proj.weight blk.N.attn_qkv.weight
      layers.N.self_attn.o_proj.weight blk.N.attn_output.weight
      layers.N.mlp.gate_up_proj.weight blk.N.ffn_up.weight
      layers.N.mlp.down_proj.weight blk.N.ffn_down.weight
      """, unused: inverseFrequencies, parameters: decoder + coarse + feedForward)

  private static let gpt2 = Network(
    "gpt2", ["gpt2"], prefixes: ["transformer."], [.learnsPositions],
    tensors: """
      wte.weight token_embd.weight
      wpe.weight position_embd.weight
      ln_f.weight output_norm.weight
      ln_f.bias output_norm.bias
      lm_head.weight output.weight?
      h.N.ln_1.weight blk.N.attn_norm.weight
      h.N.ln_1.bias blk.N.attn_norm.bias
      h.N.attn.c_attn.weight blk.N.attn_qkv.weight transposed
      h.N.attn.c_attn.bias blk.N.attn_qkv.bias
      h.N.attn.c_proj.weight blk.N.attn_output.weight transposed
      h.N.attn.c_proj.bias blk.N.attn_output.bias
      h.N.ln_2.weight blk.N.ffn_norm.weight
      h.N.ln_2.bias blk.N.ffn_norm.bias
      h.N.mlp.c_fc.weight blk.N.ffn_up.weight transposed
      h.N.mlp.c_fc.bias blk.N.ffn_up.bias
      h.N.mlp.c_proj.weight blk.N.ffn_down.weight transposed
      h.N.mlp.c_proj.bias blk.N.ffn_down.bias
      """, unused: ["h.N.attn.bias", "h.N.attn.masked_bias"],
    parameters: """
      context_length u32 n_positions|max_position_embeddings|n_ctx
      embedding_length u32 n_embd|hidden_size
      block_count u32 n_layer|num_hidden_layers
      attention.head_count u32 n_head|num_attention_heads
      attention.layer_norm_epsilon f32 layer_norm_epsilon 1e-5
      """)

  private static let bert = Network(
    "bert", ["bert"], prefixes: ["bert."], [.learnsPositions, .isEncoder],
    tensors: """
      embeddings.word_embeddings.weight token_embd.weight
      embeddings.position_embeddings.weight position_embd.weight
      embeddings.token_type_embeddings.weight token_types.weight
      embeddings.LayerNorm.weight token_embd_norm.weight
      embeddings.LayerNorm.bias token_embd_norm.bias
      encoder.layer.N.attention.self.query.weight blk.N.attn_q.weight
      encoder.layer.N.attention.self.query.bias blk.N.attn_q.bias
      encoder.layer.N.attention.self.key.weight blk.N.attn_k.weight
      encoder.layer.N.attention.self.key.bias blk.N.attn_k.bias
      encoder.layer.N.attention.self.value.weight blk.N.attn_v.weight
      encoder.layer.N.attention.self.value.bias blk.N.attn_v.bias
      encoder.layer.N.attention.output.dense.weight blk.N.attn_output.weight
      encoder.layer.N.attention.output.dense.bias blk.N.attn_output.bias
      encoder.layer.N.attention.output.LayerNorm.weight blk.N.attn_output_norm.weight
      encoder.layer.N.attention.output.LayerNorm.bias blk.N.attn_output_norm.bias
      encoder.layer.N.intermediate.dense.weight blk.N.ffn_up.weight
      encoder.layer.N.intermediate.dense.bias blk.N.ffn_up.bias
      encoder.layer.N.output.dense.weight blk.N.ffn_down.weight
      encoder.layer.N.output.dense.bias blk.N.ffn_down.bias
      encoder.layer.N.output.LayerNorm.weight blk.N.layer_output_norm.weight
      encoder.layer.N.output.LayerNorm.bias blk.N.layer_output_norm.bias
      """, unused: ["embeddings.position_ids"],
    otherParts: ["pooler.dense.*", "cls.predictions.*", "cls.seq_relationship.*"],
    parameters: """
      context_length u32 max_position_embeddings
      embedding_length u32 hidden_size
      block_count u32 num_hidden_layers
      attention.head_count u32 num_attention_heads
      attention.layer_norm_epsilon f32 layer_norm_eps 1e-12
      feed_forward_length u32 intermediate_size
      """)
}
